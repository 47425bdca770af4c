//! Groups of trajectories of one task: their seeds and what they earned together.

use crate::reward::{Reward, TrajectoryReward};

/// One step of splitmix64: a bijection on 64 bits whose outputs look independent.
fn splitmix64(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The seed of one trajectory, from the run's seed, the task's place in the run and the sample's in its group.
/// It depends on nothing else, so neither on which worker took it nor on what finished before.
pub fn sample_seed(run_seed: u64, task_index: u64, sample_index: u32) -> u64 {
    splitmix64(splitmix64(splitmix64(run_seed) ^ task_index) ^ u64::from(sample_index))
}

/// The seed of one turn's sampling request. Servers read it into a signed 64-bit integer, so the top bit is 0.
pub fn turn_seed(sample_seed: u64, turn: u32) -> u64 {
    splitmix64(sample_seed ^ u64::from(turn)) >> 1
}

/// What became of the samples of one task.
#[derive(Clone, Debug, PartialEq)]
pub struct RolloutGroup {
    rewards: Vec<Option<TrajectoryReward>>,
}

/// Why a reward was not taken into a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// The group has no such place.
    #[error("the group has {size} samples, none of them number {sample}")]
    NoSuchSample {
        /// The sample's index.
        sample: u32,
        /// The group's size.
        size: usize,
    },
    /// The place is taken.
    #[error("sample {sample} already has a reward")]
    Duplicate {
        /// The sample's index.
        sample: u32,
    },
}

impl RolloutGroup {
    /// A group of `size` samples, none of them finished.
    pub fn new(size: u32) -> Self {
        Self { rewards: (0..size).map(|_| None).collect() }
    }

    /// Takes in what a sample earned, in whatever order samples finish.
    pub fn record(&mut self, sample: u32, reward: TrajectoryReward) -> Result<(), GroupError> {
        let size = self.rewards.len();
        let place = usize::try_from(sample).ok().and_then(|index| self.rewards.get_mut(index));
        match place {
            None => Err(GroupError::NoSuchSample { sample, size }),
            Some(Some(_)) => Err(GroupError::Duplicate { sample }),
            Some(place @ None) => {
                *place = Some(reward);
                Ok(())
            }
        }
    }

    /// Whether every sample has finished.
    pub fn is_complete(&self) -> bool {
        self.rewards.iter().all(Option::is_some)
    }

    /// What each sample earned, by sample index; `None` where it has not finished.
    pub fn rewards(&self) -> &[Option<TrajectoryReward>] {
        &self.rewards
    }

    /// The rewards that are numbers, by sample index.
    pub fn scored(&self) -> Vec<(u32, Reward)> {
        let total = |reward: &Option<TrajectoryReward>| reward.as_ref().and_then(TrajectoryReward::total);
        (0..).zip(&self.rewards).filter_map(|(sample, reward)| Some((sample, total(reward)?))).collect()
    }

    /// The mean over the samples that were scored; `None` if there is none. Summed by sample index, so that
    /// not even rounding depends on the order of completion.
    pub fn mean_reward(&self) -> Option<f64> {
        let scored = self.scored();
        let sum: f64 = scored.iter().map(|(_, reward)| reward.value()).sum();
        (!scored.is_empty()).then(|| sum / scored.len() as f64)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::reward::{RewardParts, RewardWeights};

    fn scored(value: f64) -> TrajectoryReward {
        let reward = Reward::new(value).unwrap();
        TrajectoryReward::Scored(RewardParts::new(RewardWeights::default(), reward, Reward::ZERO))
    }

    #[test]
    fn splitmix64_matches_its_published_sequence() {
        // The first outputs of the reference generator started at 1234567.
        let gamma = 0x9E37_79B9_7F4A_7C15_u64;
        let states = [1_234_567_u64, 1_234_567_u64.wrapping_add(gamma)];
        assert_eq!(states.map(splitmix64), [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }

    #[test]
    fn seeds_differ_and_repeat() {
        let seeds = || (0..50).flat_map(|task| (0..16).map(move |sample| sample_seed(7, task, sample)));
        assert_eq!(seeds().collect::<HashSet<_>>().len(), 800);
        assert!(seeds().eq(seeds()));
        assert_ne!(sample_seed(7, 0, 0), sample_seed(8, 0, 0));
        assert!((0..100).all(|turn| i64::try_from(turn_seed(u64::MAX, turn)).is_ok()));
    }

    #[test]
    fn means_are_over_scored_samples_only() {
        let mut group = RolloutGroup::new(3);
        assert_eq!(group.mean_reward(), None);
        group.record(2, scored(1.0)).unwrap();
        group.record(0, TrajectoryReward::Unscorable { reason: "lost".to_owned() }).unwrap();
        assert!(!group.is_complete());
        group.record(1, scored(0.0)).unwrap();
        assert!(group.is_complete());
        assert_eq!(group.mean_reward(), Some(0.5));
        assert_eq!(group.record(1, scored(0.0)), Err(GroupError::Duplicate { sample: 1 }));
        assert_eq!(group.record(3, scored(0.0)), Err(GroupError::NoSuchSample { sample: 3, size: 3 }));
    }

    proptest! {
        #[test]
        fn the_order_of_completion_changes_nothing(
            values in proptest::collection::vec(proptest::option::of(-1e9..1e9_f64), 1..20),
            order in any::<proptest::sample::Index>(),
        ) {
            let reward = |value: &Option<f64>| value.map_or_else(
                || TrajectoryReward::Unscorable { reason: "lost".to_owned() }, scored);
            let size = u32::try_from(values.len()).unwrap();
            let record_all = |samples: Vec<u32>| {
                let mut group = RolloutGroup::new(size);
                for sample in samples {
                    group.record(sample, reward(&values[sample as usize])).unwrap();
                }
                group
            };
            let mut rotated: Vec<u32> = (0..size).rev().collect();
            rotated.rotate_left(order.index(values.len()));
            let (forward, shuffled) = (record_all((0..size).collect()), record_all(rotated));
            prop_assert_eq!(forward.mean_reward().map(f64::to_bits), shuffled.mean_reward().map(f64::to_bits));
            prop_assert_eq!(forward, shuffled);
        }
    }
}
