//! The report: one HTML file that needs nothing else, the plots as files, and the figures of perf/README.md.

mod plots;
mod text;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::results::{Comparison, ScenarioResult};
use text::{aim, cell, escape, servers};

const BEGIN: &str = "<!-- figures: begin -->";
const END: &str = "<!-- figures: end -->";

/// Writes `report.html`, `report.json` and the plots into a folder.
///
/// # Errors
/// If a file cannot be written.
pub(crate) fn write(comparison: &Comparison, folder: &Path) -> Result<(), String> {
    let plots = all_plots(comparison)?;
    for (name, svg) in &plots {
        save(&folder.join(format!("{name}.svg")), svg)?;
    }
    let json = serde_json::to_string_pretty(comparison).map_err(|error| error.to_string())?;
    save(&folder.join("report.json"), &json)?;
    save(&folder.join("report.html"), &html(comparison, &plots))
}

/// The last report of a folder.
///
/// # Errors
/// If there is none, or one with servers that could not be measured.
pub(crate) fn read(folder: &Path) -> Result<Comparison, String> {
    let path = folder.join("report.json");
    let text = fs::read_to_string(&path).map_err(|error| format!("--keep: {}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("--keep: {} cannot be used: {error}", path.display()))
}

/// Puts table and plots between the marks of a README, and the plots into a folder `plots` beside it.
///
/// # Errors
/// If the marks are not there, or a file cannot be written.
pub(crate) fn update_readme(comparison: &Comparison, readme: &Path, folder: &Path) -> Result<(), String> {
    let text = fs::read_to_string(readme).map_err(|error| format!("{}: {error}", readme.display()))?;
    let missing = || format!("{}: there is no {BEGIN} with an {END} behind it", readme.display());
    let (head, rest) = text.split_once(BEGIN).ok_or_else(missing)?;
    let (_, tail) = rest.split_once(END).ok_or_else(missing)?;
    let plots = all_plots(comparison)?;
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for (name, svg) in &plots {
        save(&folder.join(format!("{name}.svg")), svg)?;
    }
    let figures = markdown(comparison, &plots);
    save(readme, &format!("{head}{BEGIN}\n{figures}\n{END}{tail}"))
}

fn save(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

/// Names and pictures, in the order of the report.
fn all_plots(comparison: &Comparison) -> Result<Vec<(String, String)>, String> {
    let bars =
        comparison.scenarios.iter().map(|scenario| Ok((scenario.name.clone(), plots::bars(scenario)?)));
    let lines = comparison
        .growths
        .iter()
        .map(|growth| Ok((format!("growth-{}", growth.name), plots::lines(growth)?)));
    bars.chain(lines).collect()
}

/// When, where and how.
fn circumstances(comparison: &Comparison) -> String {
    let Comparison { date, commit, machine, .. } = comparison;
    format!("{date}, commit {commit}, {machine}; rounds interleaved")
}

const LEGEND: &str = "Each cell is the median of the ratios to the kernel floor, round by round, and in brackets the \
median figure itself; without brackets it is the figure. Where less is better (latency, memory) a smaller ratio is \
better.";

fn markdown(comparison: &Comparison, plots: &[(String, String)]) -> String {
    let names = servers(&comparison.scenarios);
    let mut out = format!("{}.\n\n{LEGEND}\n\n", circumstances(comparison));
    let _ = writeln!(out, "| scenario | {} | wsloop aims at |", names.join(" | "));
    let _ = writeln!(out, "|---|{}---|", "---|".repeat(names.len()));
    for scenario in &comparison.scenarios {
        let cells: Vec<String> =
            row(scenario, &names).map(|(figure, note, _)| join(&figure, &note)).collect();
        let title =
            format!("**{}**: {} ({}; {})", scenario.name, scenario.title, scenario.unit, scenario.measured);
        let _ = writeln!(out, "| {} | {} | {} |", title, cells.join(" | "), aim(scenario));
    }
    for absent in &comparison.absent {
        let _ = write!(out, "\n{} could not take part: {}.", absent.server, absent.reason);
    }
    for (name, _) in plots {
        let _ = write!(out, "\n![{name}](plots/{name}.svg)\n");
    }
    out.replace('<', "&lt;")
}

fn join(figure: &str, note: &str) -> String {
    // A bar would end the cell.
    let note = note.replace('|', "/");
    if note.is_empty() { figure.to_owned() } else { format!("{figure}; {note}") }
}

/// Figure, note and whether something is wrong, for each column.
fn row<'a>(
    scenario: &'a ScenarioResult,
    names: &'a [String],
) -> impl Iterator<Item = (String, String, bool)> + 'a {
    names.iter().map(|name| {
        let server = scenario.servers.iter().find(|server| server.server == *name);
        server
            .map(cell)
            .map_or((String::new(), String::new(), false), |cell| (cell.figure, cell.note, cell.is_wrong))
    })
}

fn html(comparison: &Comparison, plots: &[(String, String)]) -> String {
    let names = servers(&comparison.scenarios);
    let mut table = String::from("<table><thead><tr><th scope=col>scenario</th>");
    for name in &names {
        let _ = write!(table, "<th scope=col>{}</th>", escape(name));
    }
    table.push_str("<th scope=col>wsloop aims at</th></tr></thead><tbody>\n");
    for scenario in &comparison.scenarios {
        let (name, title, unit) = (escape(&scenario.name), escape(&scenario.title), escape(&scenario.unit));
        let measured = escape(&scenario.measured);
        let _ = write!(table, "<tr><th scope=row>{name}<small>{title}; {unit} ({measured})</small></th>");
        for ((figure, note, is_wrong), server) in row(scenario, &names).zip(&names) {
            let class = if is_wrong {
                "wrong"
            } else if server.starts_with("wsloop") {
                "ours"
            } else {
                ""
            };
            let _ = write!(
                table,
                "<td class=\"{class}\">{}<small>{}</small></td>",
                escape(&figure),
                escape(&note)
            );
        }
        let _ = writeln!(table, "<td>{}</td></tr>", escape(&aim(scenario)));
    }
    table.push_str("</tbody></table>");
    let pictures: String = plots.iter().map(|(_, svg)| format!("<figure>{svg}</figure>\n")).collect();
    let absent: String = comparison
        .absent
        .iter()
        .map(|absent| format!("<li>{}: {}</li>", escape(&absent.server), escape(&absent.reason)))
        .collect();
    let absent =
        if absent.is_empty() { absent } else { format!("<h2>Could not take part</h2><ul>{absent}</ul>") };
    include_str!("report.html")
        .replace("{circumstances}", &escape(&circumstances(comparison)))
        .replace("{legend}", LEGEND)
        .replace("{table}", &table)
        .replace("{absent}", &absent)
        .replace("{plots}", &pictures)
}

#[cfg(test)]
mod tests;
