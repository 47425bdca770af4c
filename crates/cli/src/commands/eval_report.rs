//! How `rollcage eval` prints what it found.

use std::num::NonZeroU32;

use rollcage_api::{EvalReport, EvalRow, EvalTally, IntervalReport, PassAtKReport};

use crate::engine_host::StoreOption;
use crate::failure::Failure;
use crate::visible_text::visible_line;
use crate::{output, table};

/// Characters of a reason in a table.
const REASON_CHARACTERS_MAX: usize = 100;

/// Rows of samples that were not accepted in a table for people; `--json` has all of them.
const ROWS_MAX: usize = 50;

/// The k of pass@k: those asked for, or 1 and the number of samples every task has, where there is more than one.
pub(crate) fn ks(asked: &[NonZeroU32], tally: &EvalTally) -> Vec<u64> {
    if !asked.is_empty() {
        return asked.iter().map(|k| u64::from(k.get())).collect();
    }
    match tally.samples_of_each() {
        Some(fewest) if fewest > 1 => vec![1, fewest],
        Some(_) | None => Vec::new(),
    }
}

/// Prints the report, and for people where the judgements are kept.
pub(crate) fn print(report: &EvalReport, store: &StoreOption, json: bool) -> Result<(), Failure> {
    if json {
        return output::print_json(report);
    }
    output::print_text(&text(report))?;
    output::note(&format!("kept in {}", store.path().display()));
    Ok(())
}

fn text(report: &EvalReport) -> String {
    let EvalReport { dataset, total, accepted, judge_errors, accepted_interval, pass_at_k, rows } = report;
    let mut text = String::new();
    if !rows.is_empty() {
        let line = |row: &EvalRow| {
            let EvalRow { id, sample, verdict, reason } = row;
            [
                visible_line(id, REASON_CHARACTERS_MAX),
                sample.to_string(),
                verdict.clone().unwrap_or_else(|| "not judged".to_owned()),
                visible_line(reason, REASON_CHARACTERS_MAX),
            ]
        };
        text.push_str(&table::render(
            ["task", "sample", "verdict", "reason"],
            rows.iter().take(ROWS_MAX).map(line),
        ));
        if rows.len() > ROWS_MAX {
            text.push_str(&format!("… and {} more; --json has all\n", rows.len() - ROWS_MAX));
        }
        text.push('\n');
    }
    let interval = accepted_interval.map(|interval| format!(" ({})", percent_range(interval)));
    text.push_str(&format!("{dataset}: {accepted} of {total} accepted{}", interval.unwrap_or_default()));
    text.push_str(&format!(", {judge_errors} not judged\n"));
    for pass in pass_at_k {
        text.push_str(&pass_at_k_line(pass));
    }
    text
}

/// One line of pass@k.
pub(crate) fn pass_at_k_line(pass: &PassAtKReport) -> String {
    let PassAtKReport { k, mean, interval, undefined } = pass;
    match (mean, interval, undefined) {
        (Some(mean), Some(interval), _) => {
            format!("pass@{k}: {:.1} % ({})\n", mean * 100.0, percent_range(*interval))
        }
        (Some(mean), None, _) => format!("pass@{k}: {:.1} %\n", mean * 100.0),
        (None, _, why) => {
            format!("pass@{k}: undefined, {}\n", why.as_deref().unwrap_or("for no known reason"))
        }
    }
}

fn percent_range(interval: IntervalReport) -> String {
    format!("95 % interval {:.1} to {:.1} %", interval.low * 100.0, interval.high * 100.0)
}
