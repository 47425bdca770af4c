//! A progress bar on standard error, for people only: nothing is drawn where standard error is no terminal.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressStyle};
use rollcage_engine::drive::EvalProgress;

/// A bar that counts samples and what became of them.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    bar: ProgressBar,
    counts: Arc<Mutex<BTreeMap<&'static str, u64>>>,
}

impl Bar {
    /// A bar for `length` samples.
    pub(crate) fn new(length: usize) -> Self {
        let bar = ProgressBar::new(length as u64);
        let template = "{bar:30} {pos}/{len} {elapsed} (about {eta} left) {msg}";
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_error| ProgressStyle::default_bar()),
        );
        Self { bar, counts: Arc::default() }
    }

    /// A bar nobody sees, where something else is being printed.
    pub(crate) fn hidden() -> Self {
        Self { bar: ProgressBar::hidden(), counts: Arc::default() }
    }

    /// Counts what was judged.
    pub(crate) fn judged(&self, progress: &EvalProgress<'_>) {
        match progress {
            EvalProgress::Started { .. } => {}
            EvalProgress::Judged { verdict, .. } => self.advance(verdict.map(|verdict| verdict.as_str())),
        }
    }

    /// Counts samples that were finished before.
    pub(crate) fn skip(&self, samples: usize) {
        self.bar.inc(samples as u64);
        // What was done before says nothing about the speed of now.
        self.bar.reset_eta();
    }

    /// Counts one sample, with its verdict if it has one.
    pub(crate) fn advance(&self, verdict: Option<&'static str>) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(verdict.unwrap_or("without verdict")).or_default() += 1;
        let message: Vec<_> = counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
        self.bar.set_message(message.join(", "));
        self.bar.inc(1);
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
