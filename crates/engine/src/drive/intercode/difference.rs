//! Why a recorded reward does not come out again.
//!
//! A cause is not guessed: what is said to have made the difference is put back, and the reward must then be the
//! recorded one.

use rollcage_api::InterCodeEpisode;
use rollcage_judge::Unscorable;

use super::judge::{InterCodeJudge, Namespace};
use super::names::submitted_function;

/// Why a reward differs from the recorded one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Difference {
    /// What the gold code had defined when the submission before was scored was still there: it was tested in place
    /// of an action that defined nothing, or lent a name that the action or the asserts lack.
    GoldLeftBehind,
    /// An assert found what an earlier one had left.
    EarlierAsserts,
    /// Both.
    GoldAndEarlierAsserts,
    /// The replay ended before this turn.
    NotPlayed,
    /// The replay could not judge it.
    NotJudged,
    /// Nothing that was put back makes the recorded reward come out.
    Unexplained,
}

impl Difference {
    /// The name used in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GoldLeftBehind => "gold_left_behind",
            Self::EarlierAsserts => "earlier_asserts",
            Self::GoldAndEarlierAsserts => "gold_and_earlier_asserts",
            Self::NotPlayed => "not_played",
            Self::NotJudged => "not_judged",
            Self::Unexplained => "unexplained",
        }
    }
}

/// Finds out why turn `place` of `episode` earned something else when it was recorded.
pub(super) async fn explain(
    judge: &mut InterCodeJudge,
    episode: &InterCodeEpisode,
    place: usize,
) -> Result<Difference, Unscorable> {
    let turn = &episode.turns[place];
    let is_gold_there = episode.turns[..place].iter().any(|turn| submitted_function(&turn.action).is_some());
    for (namespace, difference, needs_gold) in [
        (Namespace::WithGold, Difference::GoldLeftBehind, true),
        (Namespace::WithEarlierAsserts, Difference::EarlierAsserts, false),
        (Namespace::WithGoldAndEarlierAsserts, Difference::GoldAndEarlierAsserts, true),
    ] {
        if (is_gold_there || !needs_gold)
            && judge.score(&turn.action, namespace).await?.value() == turn.reward
        {
            return Ok(difference);
        }
    }
    Ok(Difference::Unexplained)
}
