//! A row as horizontal bars, one panel for each metric that is drawn: plain SVG.

use std::fmt::Write as _;

use super::figures::{Results, show};
use super::rows::{Metric, Row};
use super::systems::{Role, System};

const WIDTH: f64 = 860.0;
const NAMES: f64 = 280.0;
/// Room for the figure behind the longest bar.
const FIGURES: f64 = 90.0;
const BAR: f64 = 18.0;
const STEP: f64 = 26.0;
const HEAD: f64 = 34.0;
const GAP: f64 = 14.0;
/// A bar that stands for a figure above zero can be seen.
const BAR_MIN: f64 = 1.0;

/// One bar: whose it is, how long, and its colour.
pub struct Bar {
    pub name: String,
    pub figure: f64,
    pub fill: &'static str,
}

/// Bars that can be held against each other, under one title.
pub struct Panel {
    pub title: String,
    pub bars: Vec<Bar>,
}

/// Ours.
pub const OURS: &str = "#0b7285";
/// What the others are held against.
pub const BASE: &str = "#adb5bd";

/// The whole picture of a row; systems without a figure are left out.
pub fn draw(results: &Results, row: &Row) -> String {
    let panels = row.drawn.iter().map(|metric| Panel {
        title: title(metric),
        bars: bars(results, row, metric),
    });
    panels_of(&panels.collect::<Vec<_>>())
}

/// Panels below each other, those without bars left out.
pub fn panels_of(panels: &[Panel]) -> String {
    let panels = panels.iter().filter(|panel| !panel.bars.is_empty());
    let of = |panel: &Panel| HEAD + STEP * panel.bars.len() as f64 + GAP;
    let height: f64 = panels.clone().map(of).sum::<f64>() + GAP;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    let mut top = 0.0;
    for found in panels {
        panel(&mut svg, top, found);
        top += of(found);
    }
    svg.push_str("</svg>\n");
    svg
}

fn title(metric: &Metric) -> String {
    let better = if metric.is_less_better {
        "less"
    } else {
        "more"
    };
    format!("{} ({better} is better)", metric.title)
}

/// The figures of a panel in the systems' order.
fn bars(results: &Results, row: &Row, metric: &Metric) -> Vec<Bar> {
    let bar = |system: &&'static System| {
        Some(Bar {
            name: system.name.replace('`', ""),
            figure: results.of(row, system, metric)?,
            fill: fill(system),
        })
    };
    results.systems.iter().filter_map(bar).collect()
}

fn panel(svg: &mut String, top: f64, panel: &Panel) {
    let figures = panel.bars.iter().map(|bar| bar.figure);
    let most = figures.fold(0.0, f64::max);
    let head = (GAP, top + 24.0);
    text(svg, head, "start", &panel.title, " font-weight=\"bold\"");
    for (at, bar) in panel.bars.iter().enumerate() {
        let y = top + HEAD + STEP * at as f64;
        let middle = y + BAR * 0.75;
        let length = (bar.figure / most.max(f64::MIN_POSITIVE)) * (WIDTH - NAMES - FIGURES);
        let length = length.max(BAR_MIN);
        text(svg, (NAMES - 8.0, middle), "end", &bar.name, "");
        let fill = bar.fill;
        // Writing to a string cannot fail.
        let _ = writeln!(
            svg,
            "<rect x=\"{NAMES}\" y=\"{y}\" width=\"{length:.1}\" height=\"{BAR}\" fill=\"{fill}\"/>"
        );
        let end = NAMES + length + 6.0;
        text(svg, (end, middle), "start", &show(Some(bar.figure)), "");
    }
}

/// Ours stands out; a peer that does not sync is paler than one that does.
fn fill(system: &System) -> &'static str {
    match (system.role, system.is_synced) {
        (Role::Levada, _) => OURS,
        (Role::Floor, _) => BASE,
        (Role::Peer, true) => "#e8590c",
        (Role::Peer, false) => "#ffc078",
    }
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, words: &str, more: &str) {
    let words = words
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\"{more} fill=\"#212529\">{words}</text>"
    );
}
