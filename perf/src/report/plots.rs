//! The plots, as SVG. Each has a light ground of its own, so that it can be read on a dark page too.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::text::short;
use crate::results::{Growth, ScenarioResult, ServerResult, Target, median};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const WIDTH: u32 = 760;
const FONT: &str = "sans-serif";
const GROUND: RGBColor = RGBColor(255, 255, 255);
const INK: RGBColor = RGBColor(32, 36, 42);
const FAINT: RGBColor = RGBColor(208, 213, 220);
const OURS: RGBColor = RGBColor(22, 112, 176);
const THEIRS: RGBColor = RGBColor(150, 160, 172);
const YARDSTICK: RGBColor = RGBColor(90, 98, 108);
const GOAL: RGBColor = RGBColor(196, 74, 32);
/// A server has the same colour in every plot; these can be told apart without red and green.
const CURVES: [(&str, RGBColor); 4] = [
    ("floor", YARDSTICK),
    ("wsloop", OURS),
    ("wsloop, chat room", RGBColor(213, 124, 26)),
    ("wsloop, compressed", RGBColor(132, 76, 160)),
];
/// From this ratio of largest to smallest on, a linear axis would hide the small ones.
const LOG_FROM: f64 = 50.0;

/// One bar a server: a ratio to the floor, or the figure itself where there is no ratio.
pub(super) fn bars(scenario: &ScenarioResult) -> Result<String, String> {
    let has_ratios = scenario.servers.iter().any(|server| !server.ratios.is_empty());
    let of = |server: &ServerResult| if has_ratios { server.ratios.clone() } else { server.values.clone() };
    let mut bars: Vec<Bar> = scenario
        .servers
        .iter()
        .filter(|server| !(has_ratios && server.server == "floor"))
        .map(|server| Bar::new(&server.server, &of(server), has_ratios))
        .collect();
    bars.sort_by(|one, other| {
        let order = one.middle.total_cmp(&other.middle);
        if scenario.is_more_better { order.reverse() } else { order }
    });
    let goal = match scenario.target {
        Some(Target::Ratio(value)) if has_ratios => Some(value),
        Some(Target::Absolute(value)) if !has_ratios => Some(value),
        _ => None,
    };
    let better = if scenario.is_more_better { "more is better" } else { "less is better" };
    let what = if has_ratios {
        format!("{}, ratio to the kernel floor", scenario.unit)
    } else {
        scenario.unit.clone()
    };
    Chart {
        title: &scenario.title,
        what: &format!("{what} ({better})"),
        bars,
        goal,
        floor: has_ratios.then_some(1.0),
    }
    .draw()
}

struct Bar {
    label: String,
    middle: f64,
    least: f64,
    most: f64,
    value: String,
    is_ours: bool,
}

impl Bar {
    fn new(label: &str, values: &[f64], is_ratio: bool) -> Bar {
        let middle = median(values);
        let finite = || values.iter().copied().filter(|value| value.is_finite());
        let value = match middle {
            middle if middle.is_nan() => "–".to_owned(),
            middle if is_ratio => format!("{middle:.2}"),
            middle => short(middle),
        };
        Bar {
            label: label.to_owned(),
            middle,
            least: finite().fold(f64::INFINITY, f64::min),
            most: finite().fold(f64::NEG_INFINITY, f64::max),
            value,
            is_ours: label.starts_with("wsloop"),
        }
    }
}

struct Chart<'a> {
    title: &'a str,
    what: &'a str,
    bars: Vec<Bar>,
    goal: Option<f64>,
    floor: Option<f64>,
}

/// Where a value is on the paper.
struct Scale {
    start: f64,
    width: f64,
    low: f64,
    high: f64,
    is_log: bool,
}

impl Scale {
    fn x(&self, value: f64) -> i32 {
        let share = if self.is_log {
            (value.max(self.low) / self.low).ln() / (self.high / self.low).ln()
        } else {
            value / self.high
        };
        pixel(self.start + share.clamp(0.0, 1.0) * self.width)
    }
}

impl Chart<'_> {
    const TOP: i32 = 62;
    const ROW: i32 = 28;
    const LABELS: i32 = 170;

    fn scale(&self) -> Scale {
        let all =
            || self.bars.iter().flat_map(|bar| [bar.most, bar.middle]).chain(self.goal).chain(self.floor);
        let high = all().filter(|value| value.is_finite()).fold(0.0, f64::max).max(1e-9);
        let middles =
            self.bars.iter().map(|bar| bar.middle).filter(|&value| value.is_finite() && value > 0.0);
        let low = middles.fold(high, f64::min);
        let is_log = self.floor.is_none() && high / low > LOG_FROM;
        Scale {
            start: f64::from(Self::LABELS),
            width: f64::from(WIDTH) - 270.0,
            low: low / 2.0,
            high,
            is_log,
        }
    }

    fn draw(&self) -> Result<String, String> {
        let rows = i32::try_from(self.bars.len()).unwrap_or(i32::MAX / Self::ROW);
        let height = u32::try_from(Self::TOP + rows * Self::ROW + 34).unwrap_or(WIDTH);
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
            self.draw_on(&area, Self::TOP + rows * Self::ROW).map_err(|error| format!("a plot: {error}"))?;
            area.present().map_err(|error| format!("a plot: {error}"))?;
        }
        Ok(svg)
    }

    fn draw_on(&self, area: &Area<'_>, bottom: i32) -> Result<(), Box<dyn std::error::Error>> {
        let scale = self.scale();
        area.fill(&GROUND)?;
        write(area, self.title, (14, 20), 17, &INK, HPos::Left)?;
        let note = if scale.is_log {
            format!("{}; each step of the axis is a factor", self.what)
        } else {
            self.what.to_owned()
        };
        write(area, &note, (14, 42), 13, &YARDSTICK, HPos::Left)?;
        for (value, color, label) in [(self.floor, YARDSTICK, "floor"), (self.goal, GOAL, "aim")] {
            let Some(value) = value else { continue };
            let x = scale.x(value);
            // Two lines may be next to each other, so their names go to either side.
            let is_left =
                self.goal.zip(self.floor).is_none_or(|(goal, floor)| (goal < floor) == (label == "aim"));
            let (side, place) = if is_left { (HPos::Right, x - 3) } else { (HPos::Left, x + 3) };
            area.draw(&PathElement::new([(x, Self::TOP - 4), (x, bottom + 6)], color.stroke_width(1)))?;
            write(area, label, (place, bottom + 16), 12, &color, side)?;
        }
        for (row, bar) in (0..).zip(&self.bars) {
            let y = Self::TOP + row * Self::ROW;
            let color = if bar.is_ours { OURS } else { THEIRS };
            write(area, &bar.label, (Self::LABELS - 8, y + 11), 14, &INK, HPos::Right)?;
            if bar.middle.is_nan() {
                write(area, "no figure", (Self::LABELS + 4, y + 11), 13, &YARDSTICK, HPos::Left)?;
                continue;
            }
            let (start, end) = (Self::LABELS, scale.x(bar.middle));
            area.draw(&Rectangle::new([(start, y + 2), (end.max(start + 1), y + 20)], color.filled()))?;
            let (least, most) = (scale.x(bar.least), scale.x(bar.most));
            if most > least + 1 {
                area.draw(&PathElement::new([(least, y + 11), (most, y + 11)], INK.stroke_width(1)))?;
                for x in [least, most] {
                    area.draw(&PathElement::new([(x, y + 7), (x, y + 15)], INK.stroke_width(1)))?;
                }
            }
            let place = end.max(most) + 6;
            let width = 9 * i32::try_from(bar.value.chars().count()).unwrap_or(0);
            area.draw(&Rectangle::new([(place - 2, y + 3), (place + width, y + 19)], GROUND.filled()))?;
            write(area, &bar.value, (place, y + 11), 14, &INK, HPos::Left)?;
        }
        Ok(())
    }
}

/// How a cost grows: one line a server, through the medians of its rounds.
pub(super) fn lines(growth: &Growth) -> Result<String, String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, 380)).into_drawing_area();
        lines_on(&area, growth).map_err(|error| format!("a plot: {error}"))?;
        area.present().map_err(|error| format!("a plot: {error}"))?;
    }
    Ok(svg)
}

fn lines_on(area: &Area<'_>, growth: &Growth) -> Result<(), Box<dyn std::error::Error>> {
    area.fill(&GROUND)?;
    write(area, &growth.title, (14, 20), 17, &INK, HPos::Left)?;
    let (legend, paper) = area.margin(34, 4, 8, 16).split_vertically(22);
    let places: Vec<f64> =
        growth.curves.first().map(|curve| curve.points.iter().map(|(x, _)| *x).collect()).unwrap_or_default();
    let all = growth.curves.iter().flat_map(|curve| curve.points.iter().flat_map(|(_, ys)| ys));
    let high = all.copied().filter(|y| y.is_finite()).fold(0.0, f64::max).max(1e-9) * 1.08;
    // Places stand at equal distances: each is some times the one before.
    let last = places.len().saturating_sub(1).max(1);
    let mut chart = ChartBuilder::on(&paper)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(-0.2..last as f64 + 0.2, 0.0..high)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(FAINT)
        .axis_style(YARDSTICK)
        .x_labels(0)
        .y_labels(6)
        .y_label_formatter(&|y| short(*y))
        .y_desc(growth.unit.as_str())
        .x_desc(growth.along.as_str())
        .axis_desc_style((FONT, 14, &INK))
        .label_style((FONT, 13, &INK))
        .draw()?;
    let bottom = chart.backend_coord(&(0.0, 0.0)).1;
    for (index, place) in places.iter().enumerate() {
        let x = chart.backend_coord(&(index as f64, 0.0)).0;
        write(area, &short(*place), (x, bottom + 12), 13, &INK, HPos::Center)?;
    }
    let mut legend_x = 50;
    for curve in &growth.curves {
        let known = CURVES.iter().find(|(label, _)| *label == curve.label);
        let color = known.map_or(INK, |(_, color)| *color);
        let at = |index: usize, y: f64| (index as f64, y);
        let points = || curve.points.iter().enumerate();
        let middles = points().map(|(index, (_, ys))| at(index, median(ys))).filter(|(_, y)| y.is_finite());
        chart.draw_series(LineSeries::new(middles, color.stroke_width(2)))?;
        let dots = points().flat_map(|(index, (_, ys))| ys.iter().map(move |y| at(index, *y)));
        chart.draw_series(
            dots.filter(|(_, y)| y.is_finite()).map(|place| Circle::new(place, 3, color.filled())),
        )?;
        legend.draw(&PathElement::new([(legend_x, 10), (legend_x + 20, 10)], color.stroke_width(3)))?;
        write(&legend, &curve.label, (legend_x + 26, 10), 13, &INK, HPos::Left)?;
        legend_x += 54 + i32::try_from(curve.label.len()).unwrap_or(20) * 7;
    }
    Ok(())
}

fn write(
    area: &Area<'_>,
    text: &str,
    place: (i32, i32),
    size: i32,
    color: &RGBColor,
    side: HPos,
) -> Result<(), Box<dyn std::error::Error>> {
    let style = (FONT, size).into_font().color(color).pos(Pos::new(side, VPos::Center));
    area.draw(&Text::new(text.to_owned(), place, style)).map_err(|error| error.to_string().into())
}

#[expect(clippy::cast_possible_truncation, reason = "a place on paper")]
fn pixel(value: f64) -> i32 {
    value.round() as i32
}
