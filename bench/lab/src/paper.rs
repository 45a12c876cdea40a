//! What a scenario hands in: tables, plots and aims; and how they become a page.

use std::fmt::Write as _;

/// One chapter of the page.
#[derive(Debug)]
pub struct Section {
    pub(crate) title: &'static str,
    /// Paragraphs in Markdown: what is played, and what is to be seen.
    pub(crate) text: &'static str,
    pub(crate) aims: Vec<Aim>,
    pub(crate) tables: Vec<Table>,
    pub(crate) drawings: Vec<Drawing>,
}

/// What was to be reached, and what was.
#[derive(Debug)]
pub struct Aim {
    /// What is measured.
    pub(crate) what: String,
    /// The aim in words.
    pub(crate) aim: String,
    /// The measured value in words.
    pub(crate) measured: String,
    pub(crate) reached: Reached,
}

/// Whether an aim holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// It does.
    Yes,
    /// It does not.
    No,
}

impl From<bool> for Reached {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

/// Rows below a head.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) caption: String,
    pub(crate) head: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<String>>,
}

/// A plot and where it belongs.
#[derive(Debug)]
pub(crate) struct Drawing {
    /// The name of its file.
    pub(crate) file: &'static str,
    /// What somebody hears who cannot see it.
    pub(crate) alt: &'static str,
    pub(crate) svg: String,
}

impl Aim {
    /// At least so much.
    pub(crate) fn at_least(what: impl Into<String>, least: f64, measured: f64, shown: fn(f64) -> String) -> Self {
        let (aim, words) = (format!("at least {}", shown(least)), shown(measured));
        Self { what: what.into(), aim, measured: words, reached: (measured >= least).into() }
    }

    /// At most so much.
    pub(crate) fn at_most(what: impl Into<String>, most: f64, measured: f64, shown: fn(f64) -> String) -> Self {
        let (aim, words) = (format!("at most {}", shown(most)), shown(measured));
        Self { what: what.into(), aim, measured: words, reached: (measured <= most).into() }
    }

    /// What was not reached, in words.
    #[must_use]
    pub fn miss(&self) -> Option<String> {
        let text = || format!("{}: {}, measured {}", self.what, self.aim, self.measured);
        (self.reached == Reached::No).then(text)
    }
}

impl Section {
    /// Every aim of the chapter.
    #[must_use]
    pub fn aims(&self) -> &[Aim] {
        &self.aims
    }

    /// The plots, as file name and content.
    pub fn drawings(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.drawings.iter().map(|drawing| (drawing.file, drawing.svg.as_str()))
    }

    /// The chapter as Markdown; plots lie in `folder`.
    #[must_use]
    pub fn markdown(&self, folder: &str) -> String {
        let mut out = format!("## {}\n\n{}\n", self.title, self.text.trim());
        for table in &self.tables {
            let _ = write!(out, "\n{}\n\n{}", table.caption, table.markdown());
        }
        for drawing in &self.drawings {
            let _ = write!(out, "\n![{}]({folder}/{})\n", drawing.alt, drawing.file);
        }
        out
    }
}

/// The page of all chapters.
#[must_use]
pub fn page(sections: &[Section]) -> String {
    let chapters: Vec<String> = sections.iter().map(|section| section.markdown("flow-control")).collect();
    let page = include_str!("page.md").replace("<!-- aims -->\n", &summary(sections));
    page.replace("<!-- chapters -->\n", &chapters.join("\n"))
}

/// All aims of all chapters in one table.
#[must_use]
pub fn summary(sections: &[Section]) -> String {
    let row = |aim: &Aim| {
        let reached = if aim.reached == Reached::Yes { "yes" } else { "**no**" };
        vec![aim.what.clone(), aim.aim.clone(), aim.measured.clone(), reached.to_owned()]
    };
    let rows = sections.iter().flat_map(|section| &section.aims).map(row).collect();
    Table { caption: String::new(), head: vec!["what", "aim", "measured", "reached"], rows }.markdown()
}

impl Table {
    fn markdown(&self) -> String {
        let mut out = format!("| {} |\n|{}\n", self.head.join(" | "), "---|".repeat(self.head.len()));
        for row in &self.rows {
            let _ = writeln!(out, "| {} |", row.join(" | "));
        }
        out
    }
}

/// `0.123` as `12.3 %`; with two digits behind the point below ten percent.
pub(crate) fn percent(value: f64) -> String {
    if value.abs() < 0.1 { format!("{:.2} %", value * 100.0) } else { format!("{:.1} %", value * 100.0) }
}

/// Three digits behind the point.
pub(crate) fn plain(value: f64) -> String {
    format!("{value:.3}")
}

/// `1.1 x`.
pub(crate) fn times(value: f64) -> String {
    format!("{value:.2} x")
}

/// Milliseconds below ten seconds, else seconds.
pub(crate) fn span(seconds: f64) -> String {
    if seconds < 10.0 { format!("{:.0} ms", seconds * 1_000.0) } else { format!("{seconds:.1} s") }
}

/// Whole seconds, or a half.
pub(crate) fn secs(seconds: f64) -> String {
    if seconds.is_finite() { format!("{seconds:.1} s") } else { "never".to_owned() }
}
