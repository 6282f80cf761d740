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

/// The whole picture; systems without a figure are left out.
pub fn draw(results: &Results, row: &Row) -> String {
    let panels: Vec<(&Metric, Vec<(&System, f64)>)> = row
        .drawn
        .iter()
        .map(|metric| (*metric, bars(results, row, metric)))
        .filter(|(_, bars)| !bars.is_empty())
        .collect();
    let of = |bars: &[(&System, f64)]| HEAD + STEP * bars.len() as f64 + GAP;
    let height: f64 = panels.iter().map(|(_, bars)| of(bars)).sum::<f64>() + GAP;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    let mut top = 0.0;
    for (metric, bars) in &panels {
        panel(&mut svg, top, metric, bars);
        top += of(bars);
    }
    svg.push_str("</svg>\n");
    svg
}

/// The figures of a panel in the systems' order.
fn bars<'a>(results: &'a Results, row: &Row, metric: &Metric) -> Vec<(&'a System, f64)> {
    let systems = results.systems.iter();
    let figures = systems.filter_map(|system| Some((*system, results.of(row, system, metric)?)));
    figures.collect()
}

fn panel(svg: &mut String, top: f64, metric: &Metric, bars: &[(&System, f64)]) {
    let better = if metric.is_less_better {
        "less"
    } else {
        "more"
    };
    let most = bars.iter().map(|(_, figure)| *figure).fold(0.0, f64::max);
    text(
        svg,
        (GAP, top + 24.0),
        "start",
        &format!("{} ({better} is better)", metric.title),
        " font-weight=\"bold\"",
    );
    for (at, (system, figure)) in bars.iter().enumerate() {
        let y = top + HEAD + STEP * at as f64;
        let middle = y + BAR * 0.75;
        let length = (figure / most.max(f64::MIN_POSITIVE)) * (WIDTH - NAMES - FIGURES);
        let length = length.max(BAR_MIN);
        text(
            svg,
            (NAMES - 8.0, middle),
            "end",
            &system.name.replace('`', ""),
            "",
        );
        let fill = fill(system);
        // Writing to a string cannot fail.
        let _ = writeln!(
            svg,
            "<rect x=\"{NAMES}\" y=\"{y}\" width=\"{length:.1}\" height=\"{BAR}\" fill=\"{fill}\"/>"
        );
        let end = NAMES + length + 6.0;
        text(svg, (end, middle), "start", &show(Some(*figure)), "");
    }
}

/// Ours stands out; a peer that does not sync is paler than one that does.
fn fill(system: &System) -> &'static str {
    match (system.role, system.is_synced) {
        (Role::Levada, _) => "#0b7285",
        (Role::Floor, _) => "#adb5bd",
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
