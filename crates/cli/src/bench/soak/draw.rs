//! Random choices that come out the same for the same seed and ticket, whichever thread makes them and when.

use rollcage_rollout::sample_seed;

/// The choices of one piece of work.
#[derive(Clone, Debug)]
pub(super) struct Draw {
    seed: u64,
    drawn: u64,
}

impl Draw {
    /// Those of the piece of work that has this `ticket` in a soak with this `seed`.
    pub(super) fn of(seed: u64, ticket: u64) -> Self {
        Self { seed: sample_seed(seed, ticket, 0), drawn: 0 }
    }

    fn next(&mut self) -> u64 {
        self.drawn += 1;
        sample_seed(self.seed, self.drawn, 0)
    }

    /// A number below `bound`. The multiplication favours some numbers by at most `bound` in 2^64.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        let product = u128::from(self.next()) * u128::from(bound);
        u64::try_from(product >> 64).expect("the upper half of 128 bits fits 64")
    }

    /// One of `choices`, which are not none.
    pub(super) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        let index = self.below(choices.len() as u64);
        choices[usize::try_from(index).expect("an index fits")]
    }

    /// So many bytes of any value.
    pub(super) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> =
            (0..count.div_ceil(size_of::<u64>())).flat_map(|_| self.next().to_ne_bytes()).collect();
        bytes.truncate(count);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_ticket_draws_the_same() {
        let draws = |seed, ticket| {
            let mut draw = Draw::of(seed, ticket);
            ((0..20).map(|_| draw.below(1000)).collect::<Vec<_>>(), draw.bytes(13))
        };
        assert_eq!(draws(1, 2), draws(1, 2));
        assert_ne!(draws(1, 2), draws(1, 3));
        assert_ne!(draws(1, 2), draws(2, 2));
        assert_eq!(draws(1, 2).1.len(), 13);
    }

    #[test]
    fn numbers_stay_below_their_bound_and_reach_it() {
        let mut draw = Draw::of(7, 0);
        let seen: std::collections::BTreeSet<_> = (0..200).map(|_| draw.below(4)).collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(draw.pick(&["only"]), "only");
    }
}
