//! Whether a text holds code.

use memchr::memmem;

/// So many lines that look like code make it code.
const ENOUGH: usize = 3;
/// How lines of code begin that no prose begins with.
const BEGINNINGS: [&str; 24] = [
    "def ",
    "class ",
    "import ",
    "from ",
    "fn ",
    "pub ",
    "let ",
    "const ",
    "var ",
    "function ",
    "func ",
    "#include",
    "#!/",
    "public ",
    "private ",
    "package ",
    "using ",
    "namespace ",
    "SELECT ",
    "INSERT ",
    "CREATE ",
    "<?php",
    "<!DOCTYPE",
    "//",
];

/// Whether a text has a fence of Markdown: whoever puts one says that it is code.
pub(super) fn is_fenced(text: &str) -> bool {
    memmem::find(text.as_bytes(), b"```").is_some()
}

/// Whether lines of a text look like code. A line counts by how it ends or begins, one of both counts once;
/// `from` and `class` begin sentences too, and so take a line's end of code beside them.
pub(super) fn is_code(text: &str) -> bool {
    let (mut ends, mut begins) = (0, 0);
    for line in text.lines() {
        let line = line.trim();
        if line.ends_with([';', '{', '}']) || line.ends_with("):") || line.ends_with("=>") || line.ends_with(");") {
            ends += 1;
        } else if BEGINNINGS.iter().any(|begin| line.starts_with(begin)) {
            begins += 1;
        }
    }
    ends + begins >= ENOUGH && (ends > 0 || begins > ENOUGH)
}
