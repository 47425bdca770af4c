//! A soak's report as text for a terminal and as Markdown for a file.

use std::collections::BTreeMap;

use crate::bench::soak::inventory::Inventory;
use crate::bench::soak::report::SoakReport;
use crate::bench::soak::statistics::Minute;
use crate::table;

/// The report for people at a terminal.
pub(crate) fn render(report: &SoakReport) -> String {
    let mut text = format!("{}\n{}\n\n", report.machine, summary(report));
    text.push_str(&table::render(KIND_HEADINGS, kinds(report)));
    text.push('\n');
    text.push_str(&table::render(INVENTORY_HEADINGS, inventories(report)));
    text.push('\n');
    for line in findings(report).into_iter().chain(report.verdict()) {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// The report as a document.
pub(crate) fn markdown(report: &SoakReport) -> String {
    let mut text = format!("# Soak at level {}\n\n", report.level);
    text.push_str(
        "Written by `rollcage bench soak --report`. Benign programs whose outcome is known to the byte, hostile ones, \
         requests that must be refused and cancellations share one host, as many threads as it has slots; launchers \
         and supervisors are killed meanwhile, and hosts restarted. After each leg everything that could leak is \
         compared with what there was after the warm-up, and at the end with what there was before the first host.\n\n",
    );
    for (name, value) in [
        ("machine", report.machine.clone()),
        ("command", format!("`{}`", report.command)),
        ("confinement", format!("level {}, accounts {}", report.level, report.accounting)),
        ("course", summary(report)),
    ] {
        text.push_str(&format!("- {name}: {value}\n"));
    }
    for missing in &report.left_out {
        text.push_str(&format!("- left out: {missing}\n"));
    }
    text.push_str("\n## Verdict\n\n");
    for line in report.verdict() {
        text.push_str(&format!("- {line}\n"));
    }
    let findings = findings(report);
    if !findings.is_empty() {
        text.push_str("\n## Findings\n\n");
        for line in findings {
            text.push_str(&format!("- {}\n", line.replace('\n', " ")));
        }
    }
    section(&mut text, "Runs by kind and end", KIND_HEADINGS, kinds(report));
    section(&mut text, "What there was", INVENTORY_HEADINGS, inventories(report));
    let minute = |minute: &Minute| {
        [minute.minute.to_string(), minute.runs.to_string(), ms(minute.p50_ms), ms(minute.p99_ms)]
    };
    let headings = ["minute", "runs", "p50 ms", "p99 ms"];
    section(
        &mut text,
        "The canary beside hostile programs",
        headings,
        report.canary_minutes.iter().map(minute),
    );
    let throughput = report.benign.iter().map(|leg| [leg.at_s.to_string(), leg.per_second.to_string()]);
    section(&mut text, "Benign programs", ["from s", "per second"], throughput);
    text
}

const KIND_HEADINGS: [&str; 5] = ["class", "kind", "runs", "longest ms", "ends"];
const INVENTORY_HEADINGS: [&str; 12] = [
    "at s",
    "descriptors",
    "threads",
    "processes",
    "zombies",
    "strays",
    "mounts",
    "cgroups",
    "files",
    "net ns",
    "KiB, ours and launcher's",
    "slab KiB",
];

fn summary(report: &SoakReport) -> String {
    let stopped = if report.stopped_early { ", stopped early" } else { "" };
    format!(
        "{} s of {} s{stopped}, seed {}, {} slots, {} runs, {} hosts started, {} launchers and {} supervisors killed",
        report.ran_s,
        report.asked_s,
        report.seed,
        report.slots,
        report.runs_total(),
        report.hosts_started,
        report.launchers_killed,
        report.supervisors_killed
    )
}

/// One row for each kind, with all the ways in which it ended.
fn kinds(report: &SoakReport) -> Vec<[String; 5]> {
    let mut kinds = BTreeMap::<_, (u64, u64, Vec<String>)>::new();
    for count in &report.runs {
        let (runs, longest, ends) = kinds.entry((count.class, count.kind.as_str())).or_default();
        *runs += count.runs;
        *longest = count.longest_ms.max(*longest);
        ends.push(format!("{} × {}", count.runs, count.end));
    }
    let shown = |ends: &[String]| {
        /// A kind that ends in many ways, by its draws, fills no screen.
        const SHOWN: usize = 6;
        match ends.len() {
            ..=SHOWN => ends.join(", "),
            more => format!("{}, and {} others", ends[..SHOWN].join(", "), more - SHOWN),
        }
    };
    let row = |((class, kind), (runs, longest, ends)): ((&str, &str), (u64, u64, Vec<String>))| {
        [class.to_owned(), kind.to_owned(), runs.to_string(), longest.to_string(), shown(&ends)]
    };
    kinds.into_iter().map(row).collect()
}

fn inventories(report: &SoakReport) -> Vec<[String; 12]> {
    let row = |inventory: &Inventory| {
        let Inventory { supervisor_kb, launcher_kb, .. } = inventory;
        [
            inventory.at_s.to_string(),
            inventory.descriptors.to_string(),
            inventory.threads.to_string(),
            inventory.processes.to_string(),
            inventory.zombies.to_string(),
            inventory.strays.len().to_string(),
            inventory.mounts.len().to_string(),
            format!("{} + {}", inventory.groups, inventory.abandoned_groups.len()),
            format!("{} + {}", inventory.state_files.len(), inventory.temporary_files.len()),
            inventory.network_namespaces.to_string(),
            format!("{supervisor_kb} + {launcher_kb}"),
            inventory.slab_kb.to_string(),
        ]
    };
    report.inventories.iter().map(row).collect()
}

/// Everything that is not as it should be.
fn findings(report: &SoakReport) -> Vec<String> {
    let leaks = report.leaks.iter().map(|leak| {
        format!("leak at {} s: {}: {} before, now {}", leak.at_s, leak.what, leak.before, leak.now)
    });
    let inconsistencies = report.inconsistencies.iter().map(|found| {
        format!(
            "inconsistency: {} (ticket {}): asked {}; expected {}; got {}",
            found.kind, found.ticket, found.request, found.expected, found.got
        )
    });
    leaks.chain(inconsistencies).collect()
}

fn section<const COLUMNS: usize>(
    text: &mut String,
    title: &str,
    headings: [&str; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
) {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    text.push_str(&format!("\n## {title}\n\n"));
    text.push_str(&line(&headings.map(str::to_owned)));
    text.push_str(&line(&headings.map(|_| "---".to_owned())));
    for row in rows {
        text.push_str(&line(&row));
    }
}

fn ms(value: f64) -> String {
    format!("{value:.1}")
}
