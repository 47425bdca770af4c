//! The curves of many open sessions, drawn: memory and the time of a cell, by how many there are.

use std::fmt::Write as _;

use rollcage_api::BenchRow;

use super::IPYKERNEL;
use super::many::{LIVE, REHYDRATED, REPLAY};

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 40.0;
/// The same in both charts.
const COLOURS: [(&str, &str); 4] =
    [(LIVE, "#2563eb"), (REPLAY, "#d97706"), (IPYKERNEL, "#6b7280"), (REHYDRATED, "#16a34a")];

/// A named line of points.
struct Line {
    name: String,
    colour: &'static str,
    points: Vec<(f64, f64)>,
}

/// Both charts, side by side.
pub(super) fn draw(rows: &[BenchRow]) -> String {
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        2.0 * (WIDTH + LEFT + 30.0),
        HEIGHT + TOP + 110.0
    );
    let mib = |row: &BenchRow| Some(f64::from(u32::try_from(row.memory_kb?).ok()?) / 1024.0);
    let mut memory = lines(rows, mib);
    memory.retain(|line| [LIVE, IPYKERNEL].contains(&line.name.as_str()));
    for line in memory.iter_mut().filter(|line| line.name == LIVE) {
        "all sessions, live or not".clone_into(&mut line.name);
    }
    chart(&mut text, 0.0, "memory of all, MiB", &memory);
    let times = lines(rows, |row| Some(row.p50_ms));
    chart(&mut text, WIDTH + LEFT + 30.0, "a cell at p50, ms", &times);
    text.push_str("</svg>\n");
    text
}

fn lines(rows: &[BenchRow], value: impl Fn(&BenchRow) -> Option<f64>) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for row in rows {
        let count = row.case.strip_prefix("open-").and_then(|count| count.parse().ok());
        let (Some(count), Some(value)) = (count, value(row)) else { continue };
        match lines.iter_mut().find(|line| line.name == row.mode) {
            Some(line) => line.points.push((count, value)),
            None => {
                let known = COLOURS.iter().find(|(mode, _)| *mode == row.mode);
                let colour = known.map_or("black", |(_, colour)| colour);
                lines.push(Line { name: row.mode.clone(), colour, points: vec![(count, value)] });
            }
        }
    }
    lines
}

/// With logarithmic axes.
fn chart(text: &mut String, at: f64, title: &str, lines: &[Line]) {
    let all = || lines.iter().flat_map(|line| line.points.iter());
    let low = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::MAX, f64::min).log10().floor();
    let high = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::MIN, f64::max).log10().ceil();
    if all().next().is_none() {
        return;
    }
    let (x_low, x_high) = (low(&mut all().map(|point| point.0)), high(&mut all().map(|point| point.0)));
    let (y_low, y_high) = (low(&mut all().map(|point| point.1)), high(&mut all().map(|point| point.1)));
    let span = |low: f64, high: f64| (high - low).max(1.0);
    let x = |value: f64| at + LEFT + (value.log10() - x_low) / span(x_low, x_high) * WIDTH;
    let y = |value: f64| TOP + HEIGHT - (value.log10() - y_low) / span(y_low, y_high) * HEIGHT;
    let mut put = |part: std::fmt::Arguments<'_>| {
        // Writing to a string does not fail.
        let _written = text.write_fmt(part);
    };
    put(format_args!("<text x=\"{}\" y=\"{}\" font-size=\"13\">{title}</text>\n", at + LEFT, TOP - 15.0));
    let mut power = y_low;
    while power <= y_low + span(y_low, y_high) {
        let (value, line) = (10_f64.powf(power), y(10_f64.powf(power)));
        put(format_args!(
            "<line x1=\"{}\" x2=\"{}\" y1=\"{line}\" y2=\"{line}\" stroke=\"#e5e7eb\"/>\n\
             <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{value}</text>\n",
            at + LEFT,
            at + LEFT + WIDTH,
            at + LEFT - 6.0,
            line + 4.0
        ));
        power += 1.0;
    }
    let mut power = x_low;
    while power <= x_low + span(x_low, x_high) {
        let value = 10_f64.powf(power);
        put(format_args!(
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{value}</text>\n",
            x(value),
            TOP + HEIGHT + 16.0
        ));
        power += 1.0;
    }
    put(format_args!(
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">sessions open</text>\n",
        at + LEFT + WIDTH / 2.0,
        TOP + HEIGHT + 32.0
    ));
    for (index, line) in lines.iter().enumerate() {
        let colour = line.colour;
        let points: Vec<_> = line.points.iter().map(|(a, b)| format!("{:.1},{:.1}", x(*a), y(*b))).collect();
        put(format_args!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n",
            points.join(" ")
        ));
        for point in &points {
            let (cx, cy) = point.split_once(',').unwrap_or_default();
            put(format_args!("<circle cx=\"{cx}\" cy=\"{cy}\" r=\"3\" fill=\"{colour}\"/>\n"));
        }
        let legend = TOP + HEIGHT + 50.0 + 14.0 * f64::from(u32::try_from(index).unwrap_or(0));
        put(format_args!(
            "<text x=\"{}\" y=\"{legend}\" fill=\"{colour}\">{}</text>\n",
            at + LEFT,
            line.name
        ));
    }
}
