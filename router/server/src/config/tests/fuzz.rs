//! Nothing that a file may hold makes the reader panic or run long.

use proptest::prelude::*;

use super::*;

/// Pieces of real files, so that random texts reach beyond the parser.
const PIECES: [&str; 40] = [
    "listen: ",
    "admin: ",
    "providers:\n",
    "  up: ",
    "kind: openai",
    "{ ",
    " }",
    "[ ",
    " ]",
    "models:\n",
    "  m: ",
    "targets: ",
    "provider: up",
    "- ",
    "\n",
    "  ",
    ": ",
    ", ",
    "127.0.0.1:7443",
    "\"${A:-b}\"",
    "${",
    "}",
    "&a ",
    "*a",
    "<<: *a\n",
    "keys:\n",
    "key: ",
    "{ env: NAME }",
    "{ file: /dev/zero }",
    "30s",
    "-1",
    "1e999",
    ".nan",
    "null",
    "~",
    "|\n",
    "'",
    "\"",
    "\u{feff}",
    "drain: 5",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        fuzz_parse(&bytes);
    }

    #[test]
    fn shuffled_pieces_never_panic(pieces in proptest::collection::vec(0..PIECES.len(), 0..60)) {
        let text: String = pieces.iter().map(|piece| PIECES[*piece]).collect();
        fuzz_parse(text.as_bytes());
    }

    #[test]
    fn a_file_cut_or_overwritten_anywhere_never_panics(at in 0..MINIMAL.len(), byte in any::<u8>()) {
        let mut bytes = MINIMAL.as_bytes().to_vec();
        fuzz_parse(&bytes[..at]);
        bytes[at] = byte;
        fuzz_parse(&bytes);
    }

    #[test]
    fn wrong_files_cut_and_joined_never_panic(one in any::<prop::sample::Index>(), other in any::<prop::sample::Index>(),
                                              cut in any::<prop::sample::Index>(), joint in any::<prop::sample::Index>()) {
        let files = super::broken::files();
        let (one, other) = (std::fs::read(one.get(&files)).unwrap(), std::fs::read(other.get(&files)).unwrap());
        let mut bytes = one[..cut.index(one.len() + 1)].to_vec();
        bytes.extend_from_slice(&other[joint.index(other.len() + 1)..]);
        fuzz_parse(&bytes);
    }

    #[test]
    fn every_error_points_into_the_text(at in 0..MINIMAL.len(), byte in 32..127_u8) {
        let mut bytes = MINIMAL.as_bytes().to_vec();
        bytes[at] = byte;
        let text = String::from_utf8(bytes).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for error in load_with(&text, &no_env()).err().iter().flat_map(ConfigErrors::errors) {
            let (Some(line), Some(column)) = (error.line, error.column) else { panic!("{error}") };
            // The end of the text is a place too: something is missing there.
            let width = lines.get(line - 1).map_or(0, |text| text.chars().count());
            prop_assert!(line <= lines.len() + 1 && column <= width + 1, "{error}");
        }
    }
}

#[test]
fn hostile_files_are_refused_quickly() {
    let deep = "[".repeat(100_000);
    let nested: String = (0..2000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let items = vec![format!("*a{}", level - 1); 10].join(", ");
        laughs.push_str(&format!("a{level}: &a{level} [{items}]\n"));
    }
    let large = "a".repeat(9 << 20);
    let keys: String = (0..20_000).map(|number| format!("field_{number}: 1\n")).collect();
    for text in [deep, nested, laughs, large, keys] {
        let errors = load_with(&text, &no_env()).unwrap_err();
        assert!(errors.errors().len() <= 50, "{}", errors.errors().len());
    }
}
