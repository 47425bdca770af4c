//! What an action earns: the share of the task's asserts that end as they do for the gold function.

use std::collections::HashMap;
use std::sync::Arc;

use rollcage_api::InterCodeTask;
use rollcage_judge::{AssertOutcome, Score, Unscorable, Verdict, python_reward};
use rollcage_language::Language;
use rollcage_rollout::{JudgedAnswer, Reward};

use super::super::engine::Engine;
use super::assert_run::{AssertRun, run_assert};
use super::names::{gold_function, submitted_function};

/// What is in the namespace before a submission and its assert are run there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Namespace {
    /// Nothing. The only one that judges.
    Fresh,
    /// The gold function. It shows what a recorded reward owes to it.
    WithGold,
    /// What the asserts before this one left.
    WithEarlierAsserts,
    /// Both.
    WithGoldAndEarlierAsserts,
}

/// The judge of one task.
#[derive(Debug)]
pub(super) struct InterCodeJudge {
    engine: Engine,
    language: Arc<Language>,
    task: Arc<InterCodeTask>,
    /// The gold function's outcomes, once they are known.
    gold: Option<Vec<AssertOutcome>>,
    /// What was judged already: policies repeat themselves word for word.
    earned: HashMap<(String, Namespace), Score>,
}

impl InterCodeJudge {
    /// A judge that has run nothing yet.
    pub(super) fn new(engine: Engine, language: Arc<Language>, task: Arc<InterCodeTask>) -> Self {
        Self { engine, language, task, gold: None, earned: HashMap::new() }
    }

    /// Judges an action.
    pub(super) async fn judge(&mut self, action: &str) -> JudgedAnswer {
        if submitted_function(action).is_none() {
            return JudgedAnswer::Scored {
                verdict: Verdict::WrongAnswer,
                reward: Reward::ZERO,
                reason: Some("it does not begin with the definition of a function".to_owned()),
            };
        }
        match self.score(action, Namespace::Fresh).await {
            Ok(score) => scored(score),
            Err(unscorable) => JudgedAnswer::Unscorable(unscorable),
        }
    }

    /// What `action` earns in a namespace. One that submits nothing earns nothing in any.
    pub(super) async fn score(&mut self, action: &str, namespace: Namespace) -> Result<Score, Unscorable> {
        let Some(submitted) = submitted_function(action) else { return Ok(Score::ZERO) };
        let key = (action.to_owned(), namespace);
        if let Some(score) = self.earned.get(&key) {
            return Ok(*score);
        }
        let task = Arc::clone(&self.task);
        let called = gold_function(&task.gold).ok_or_else(|| {
            Unscorable::problem("its gold code defines no function whose name and parenthesis touch")
        })?;
        let gold = self.gold_outcomes().await?;
        let binding = format!("{called} = {submitted}");
        let mut definitions = match namespace {
            Namespace::Fresh | Namespace::WithEarlierAsserts => Vec::new(),
            Namespace::WithGold | Namespace::WithGoldAndEarlierAsserts => vec![&*task.setup, &*task.gold],
        };
        definitions.extend([action, &*binding, &*task.setup]);
        let mut outcomes = Vec::with_capacity(task.tests.len());
        for test in &task.tests {
            let run = run_assert(&self.engine, &self.language, &definitions, test).await?;
            outcomes.push(run.outcome);
            match namespace {
                Namespace::Fresh | Namespace::WithGold => {}
                Namespace::WithEarlierAsserts | Namespace::WithGoldAndEarlierAsserts => {
                    definitions.push(test);
                }
            }
        }
        let score = python_reward(&task.tests, &outcomes, &gold)
            .map_err(|error| Unscorable::problem(error.to_string()))?;
        self.earned.insert(key, score);
        Ok(score)
    }

    async fn gold_outcomes(&mut self) -> Result<Vec<AssertOutcome>, Unscorable> {
        if let Some(outcomes) = &self.gold {
            return Ok(outcomes.clone());
        }
        let mut outcomes = Vec::with_capacity(self.task.tests.len());
        for test in &self.task.tests {
            let definitions = [self.task.setup.as_str(), &self.task.gold];
            let AssertRun { outcome, is_within_limits } =
                run_assert(&self.engine, &self.language, &definitions, test).await?;
            if !is_within_limits {
                // Every submission that fails in the same way would be as good as it.
                let why = "its gold function does not end within the limits";
                return Err(Unscorable::problem(why));
            }
            outcomes.push(outcome);
        }
        self.gold = Some(outcomes.clone());
        Ok(outcomes)
    }
}

fn scored(score: Score) -> JudgedAnswer {
    let verdict = match score {
        Score::ONE => Verdict::Accepted,
        Score::ZERO => Verdict::WrongAnswer,
        _part => Verdict::PartiallyCorrect,
    };
    let reason = (verdict != Verdict::Accepted).then(|| "a test case did not pass".to_owned());
    JudgedAnswer::Scored { verdict, reward: score.into(), reason }
}
