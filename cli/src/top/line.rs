//! Lines of styled pieces, and tables of them: widths are counted before colours are put on.

use crate::term::{Brush, Style, harmless};

/// A piece of text with one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    text: String,
    style: Option<Style>,
}

/// Plain text. What the router says of itself may hold names that somebody configured, so it is made harmless here.
pub(super) fn plain(text: impl AsRef<str>) -> Piece {
    Piece { text: harmless(text.as_ref()).into_owned(), style: None }
}

/// Text with a look.
pub(super) fn styled(style: Style, text: impl AsRef<str>) -> Piece {
    Piece { style: Some(style), ..plain(text) }
}

/// Pieces one after the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Line(pub(super) Vec<Piece>);

impl Line {
    pub(super) fn of(pieces: impl IntoIterator<Item = Piece>) -> Self {
        Self(pieces.into_iter().collect())
    }

    fn width(&self) -> usize {
        self.0.iter().map(|piece| piece.text.chars().count()).sum()
    }

    /// The line within `width` characters, painted; spaces at its end are left out.
    pub(super) fn paint(&self, width: usize, brush: Brush) -> String {
        let mut left = width;
        let mut out = String::new();
        for piece in &self.0 {
            let text: String = piece.text.chars().take(left).collect();
            left -= text.chars().count();
            match piece.style {
                Some(style) if !text.trim().is_empty() => out.push_str(&brush.paint(style, &text)),
                _ => out.push_str(&text),
            }
        }
        out.truncate(out.trim_end().len());
        out
    }
}

/// On which side a column's cells meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// A table: a head, and rows of as many cells, two spaces apart.
pub(super) fn table<const N: usize>(head: [(&str, Side); N], rows: Vec<[Line; N]>) -> Vec<Line> {
    let title = head.map(|(text, _)| Line::of([styled(Style::Dim, text)]));
    let rows: Vec<[Line; N]> = std::iter::once(title).chain(rows).collect();
    let widths: [usize; N] =
        std::array::from_fn(|column| rows.iter().filter_map(|row| row.get(column)).map(Line::width).max().unwrap_or(0));
    let line = |cells: [Line; N]| {
        let mut pieces = Vec::new();
        for ((cell, width), (_, side)) in cells.into_iter().zip(widths).zip(head) {
            let space = plain(" ".repeat(width.saturating_sub(cell.width())));
            if !pieces.is_empty() {
                pieces.push(plain("  "));
            }
            match side {
                Side::Left => pieces.extend(cell.0.into_iter().chain([space])),
                Side::Right => pieces.extend(std::iter::once(space).chain(cell.0)),
            }
        }
        Line(pieces)
    };
    rows.into_iter().map(line).collect()
}
