//! Line plots as SVG: a few panels below each other that share their x axis. The same data give the same bytes.

mod axis;

use std::fmt::Write as _;

use axis::Axis;
pub(crate) use axis::Scale;

/// A drawing.
#[derive(Debug)]
pub(crate) struct Plot {
    pub(crate) title: String,
    pub(crate) x_label: &'static str,
    pub(crate) x_scale: Scale,
    pub(crate) panels: Vec<Panel>,
}

/// One pair of axes.
#[derive(Debug)]
pub(crate) struct Panel {
    pub(crate) y_label: &'static str,
    /// The upper end of the axis, where the data should not say.
    pub(crate) y_most: Option<f64>,
    pub(crate) series: Vec<Series>,
}

/// One line.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) ink: Ink,
    pub(crate) points: Vec<(f64, f64)>,
}

/// How a line looks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ink {
    /// The truth, or the aim: dashed black.
    Truth,
    /// The router: the strongest colour.
    Ours,
    /// Others, by their place.
    Other(usize),
}

const WIDTH: f64 = 760.0;
const PANEL: f64 = 190.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 40.0;
/// Between two panels; the legend of the lower one stands there.
const GAP: f64 = 30.0;

/// Colours that also differ in print and to the colour-blind (Okabe and Ito, 2008).
const OTHERS: [&str; 5] = ["#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

impl Series {
    pub(crate) fn new(name: impl Into<String>, ink: Ink, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), ink, points }
    }
}

impl Panel {
    pub(crate) fn new(y_label: &'static str, series: Vec<Series>) -> Self {
        Self { y_label, y_most: None, series }
    }

    pub(crate) fn up_to(self, most: f64) -> Self {
        Self { y_most: Some(most), ..self }
    }
}

impl Ink {
    fn style(self) -> String {
        match self {
            Self::Truth => "stroke=\"#111\" stroke-width=\"1.3\" stroke-dasharray=\"5 3\"".to_owned(),
            Self::Ours => "stroke=\"#0050b3\" stroke-width=\"2\"".to_owned(),
            Self::Other(place) => {
                let colour = OTHERS.get(place % OTHERS.len()).copied().unwrap_or("#777");
                format!("stroke=\"{colour}\" stroke-width=\"1.4\"")
            }
        }
    }
}

impl Plot {
    /// The drawing as a file.
    pub(crate) fn svg(&self) -> String {
        let panels = self.panels.len() as f64;
        let height = TOP + panels * (PANEL + GAP) + BOTTOM;
        let mut out = String::new();
        let _ = writeln!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
             font-size=\"11\" fill=\"#333\">\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n\
             <text x=\"{LEFT}\" y=\"18\" font-size=\"14\" font-weight=\"bold\">{}</text>",
            escaped(&self.title)
        );
        let points = || self.panels.iter().flat_map(|panel| &panel.series).flat_map(|series| &series.points);
        let x = Axis::over(points().map(|point| point.0), self.x_scale, (LEFT, WIDTH - RIGHT));
        for (place, panel) in self.panels.iter().enumerate() {
            let top = TOP + GAP + place as f64 * (PANEL + GAP);
            panel.draw(&x, top, &mut out);
        }
        let foot = TOP + panels * (PANEL + GAP);
        for (at, label) in x.ticks() {
            let _ = writeln!(out, "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>", foot + 14.0);
        }
        let middle = (LEFT + WIDTH - RIGHT) / 2.0;
        let y = foot + 30.0;
        let _ = writeln!(
            out,
            "<text x=\"{middle:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{}</text>\n</svg>",
            self.x_label
        );
        out
    }
}

impl Panel {
    fn draw(&self, x: &Axis, top: f64, out: &mut String) {
        let values = self.series.iter().flat_map(|series| &series.points).map(|point| point.1);
        let bounds = (top + PANEL, top);
        let y = match self.y_most {
            Some(most) => Axis::between(0.0, most, Scale::Linear, bounds),
            None => Axis::over(values.chain([0.0]), Scale::Linear, bounds),
        };
        for (at, _) in x.ticks() {
            let _ = writeln!(out, "<path d=\"M{at:.1} {top:.1}V{:.1}\" stroke=\"#eee\"/>", top + PANEL);
        }
        for (at, label) in y.ticks() {
            let _ = writeln!(
                out,
                "<path d=\"M{LEFT} {at:.1}H{:.1}\" stroke=\"#e4e4e4\"/>\n\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                at + 4.0
            );
        }
        let middle = top + PANEL / 2.0;
        let _ = writeln!(
            out,
            "<text transform=\"translate(14 {middle:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            escaped(self.y_label)
        );
        for series in &self.series {
            series.draw(x, &y, out);
        }
        self.legend(top - 8.0, out);
    }

    fn legend(&self, y: f64, out: &mut String) {
        let mut x = LEFT;
        for series in &self.series {
            let _ = writeln!(
                out,
                "<path d=\"M{x:.1} {:.1}h18\" fill=\"none\" {}/><text x=\"{:.1}\" y=\"{y:.1}\">{}</text>",
                y - 4.0,
                series.ink.style(),
                x + 22.0,
                escaped(&series.name)
            );
            // Some six units a letter at this size.
            x += 36.0 + 6.0 * series.name.chars().count() as f64;
        }
    }
}

impl Series {
    fn draw(&self, x: &Axis, y: &Axis, out: &mut String) {
        let mut path = String::new();
        for (place, point) in self.points.iter().enumerate() {
            let letter = if place == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{letter}{:.1} {:.1}", x.place(point.0), y.place(point.1));
        }
        if !path.is_empty() {
            let _ = writeln!(out, "<path d=\"{path}\" fill=\"none\" stroke-linejoin=\"round\" {}/>", self.ink.style());
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_is_well_formed_and_repeats() {
        let series = Series::new("a < b", Ink::Ours, vec![(0.0, 1.0), (10.0, 3.0)]);
        let plot = Plot {
            title: "t & u".to_owned(),
            x_label: "seconds",
            x_scale: Scale::Linear,
            panels: vec![Panel::new("tokens", vec![series]), Panel::new("none", Vec::new()).up_to(1.0)],
        };
        let svg = plot.svg();
        assert_eq!(svg, plot.svg());
        assert!(svg.contains("t &amp; u") && svg.contains("a &lt; b") && svg.ends_with("</svg>\n"), "{svg}");
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
        assert!(svg.contains("L744.0"), "the last point lies at the right end: {svg}");
    }
}
