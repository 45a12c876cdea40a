//! Generated requests and streams, run through the same checks as the fuzz targets.

use proptest::collection::vec;
use proptest::prelude::*;

use super::bodies::{check_scan, check_splice, check_sse};
use crate::openai::chat::TapMode;

/// White space between tokens; mostly none.
fn space() -> impl Strategy<Value = &'static str> {
    prop_oneof![6 => Just(""), 1 => Just(" "), 1 => Just("\n\t"), 1 => Just("\r\n  ")]
}

/// A JSON string literal of any characters, some of them escaped without need.
fn string() -> impl Strategy<Value = String> {
    let plain = prop_oneof!["[ -~]{0,12}", "[ -~]{60,90}", any::<String>()];
    (plain, any::<u64>()).prop_map(|(text, dice)| quote(&text, dice))
}

/// Writes text as a JSON string; the dice say which characters are escaped as `\uXXXX`.
fn quote(text: &str, mut dice: u64) -> String {
    let mut out = String::from("\"");
    for char in text.chars() {
        dice = dice.rotate_left(3);
        if dice & 7 == 1 {
            let mut units = [0; 2];
            out.extend(char.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        } else {
            let escaped = serde_json::to_string(&char.to_string()).unwrap();
            out.push_str(&escaped[1..escaped.len() - 1]);
        }
    }
    out.push('"');
    out
}

/// A key: most often one that matters, most often written plainly.
fn key() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "model",
        "stream",
        "stream_options",
        "max_tokens",
        "max_completion_tokens",
        "user",
        "n",
        "temperature",
        "seed",
        "usage",
        "choices",
        "error",
        "messages",
        "include_usage",
        "mode",
        "model ",
    ]);
    prop_oneof![
        4 => known.clone().prop_map(|name| format!("\"{name}\"")),
        1 => (known, any::<u64>()).prop_map(|(name, dice)| quote(name, dice)),
        1 => string(),
    ]
}

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => string(),
        2 => Just("\"m\"".to_owned()),
        1 => prop::sample::select(vec!["true", "false", "null", "0", "-1", "12", "1.5", "4e2", "-0.0e-3"]).prop_map(str::to_owned),
        1 => any::<u64>().prop_map(|number| number.to_string()),
        1 => any::<f64>().prop_filter("JSON has no such number", |n| n.is_finite()).prop_map(|n| format!("{n:e}")),
        1 => Just("184467440737095516160".to_owned()),
    ]
}

fn value() -> impl Strategy<Value = String> {
    let usage = r#"{"prompt_tokens": 3, "completion_tokens":4,"total_tokens":7}"#;
    let options = r#"{"include_usage" : false, "x":[1,{"include_usage":true}]}"#;
    let leaf = prop_oneof![6 => scalar(), 1 => Just(usage.to_owned()), 1 => Just(options.to_owned())];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            (vec(inner.clone(), 0..4), space()).prop_map(|(list, space)| format!("[{space}{}{space}]", list.join(","))),
            object_of(inner),
        ]
    })
}

/// An object with members of any kind, keys repeated at will.
fn object_of(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let member = (key(), space(), space(), value, space())
        .prop_map(|(key, a, b, value, c)| format!("{a}{key}{b}:{c}{value}{a}"));
    (vec(member, 0..8), space()).prop_map(|(members, space)| format!("{{{space}{}{space}}}", members.join(",")))
}

fn object() -> impl Strategy<Value = String> {
    (space(), object_of(value()), space()).prop_map(|(before, object, after)| format!("{before}{object}{after}"))
}

/// An object in which the fields that the router depends on have the types that it wants.
fn request() -> impl Strategy<Value = String> {
    let fields = prop::sample::select(vec![
        r#""model":"gpt-4o""#,
        r#""mod\u0065l" : "vendor/m""#,
        r#""stream":true"#,
        r#""stream" : null"#,
        r#""stream_options":{"include_usage":false,"include_obfuscation":false}"#,
        r#""stream_options":null"#,
        r#""user":"u\n1""#,
        r#""n":2"#,
        r#""max_tokens": 100"#,
        r#""max_tokens":-1"#,
        r#""max_completion_tokens":5"#,
        r#""messages":[{"role":"user","content":"\"model\": \"no\" }]"}]"#,
        r#""metadata":{"model":"x","user":{"n":[[]]}}"#,
    ]);
    (vec((fields, space()), 0..9), space()).prop_map(|(fields, space)| {
        let members: Vec<_> = fields.into_iter().map(|(field, space)| format!("{space}{field}{space}")).collect();
        format!("{{{space}{}{space}}}", members.join(","))
    })
}

fn line_end() -> impl Strategy<Value = &'static str> {
    prop_oneof![4 => Just("\n"), 2 => Just("\r\n"), 1 => Just("\r")]
}

fn chunk_object() -> impl Strategy<Value = String> {
    let choices = prop::sample::select(vec![
        "[]",
        r#"[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]"#,
        r#"[{"index":0,"delta":{"content":"\"usage\":null}"},"finish_reason":null}]"#,
        r#"[{"index":0,"delta":{"content":"x"},"finish_reason":null}]"#,
        r#"[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]"#,
        r#"[{"index":1,"delta":{},"finish_reason":"stop"}]"#,
        r#"[ {"delta":{"tool_calls":[{"index":0}]},"finish_reason": "length"} ]"#,
    ]);
    let usage = prop::sample::select(vec![
        "",
        r#","usage":null"#,
        r#" , "usage" : null "#,
        r#","usage":{"prompt_tokens":3,"completion_tokens":4},"obfuscation":"usage""#,
        r#","usage":null,"a":1,"usage":{"input_tokens":3}"#,
        r#","x_groq":{"usage":{"prompt_tokens":1}}"#,
        r#","error":{"code":429,"message":"slow"}"#,
    ]);
    (choices, usage, any::<bool>()).prop_map(|(choices, usage, front)| match front {
        true => format!(
            "{{{}\"choices\":{choices}}}",
            usage.trim_start_matches([' ', ',']).to_owned() + if usage.is_empty() { "" } else { "," }
        ),
        false => format!("{{\"id\":\"x\",\"choices\":{choices}{usage}}}"),
    })
}

fn event() -> impl Strategy<Value = String> {
    let data = prop_oneof![
        6 => chunk_object(),
        1 => object(),
        1 => Just("[DONE]".to_owned()),
        1 => "[ -~]{0,20}",
    ];
    let before =
        prop::sample::select(vec!["", "", "", ": comment", "event: error", "event:x", "id: 7", "data", "retry: 1"]);
    (before, data, line_end(), any::<bool>(), 0_usize..60).prop_map(|(before, data, end, space, split)| {
        let mut text = String::new();
        if !before.is_empty() {
            text = format!("{before}{end}");
        }
        let data = data.replace(['\r', '\n'], " ");
        let space = if space { " " } else { "" };
        // Some data in two lines: cut behind a comma, where JSON allows white space.
        match data.char_indices().filter(|(_, char)| *char == ',').nth(split) {
            Some((comma, _)) => {
                text += &format!("data:{space}{}{end}data:{space}{}", &data[..=comma], &data[comma + 1..]);
            }
            None => text += &format!("data:{space}{data}"),
        }
        text + end + end
    })
}

fn stream() -> impl Strategy<Value = String> {
    let bom = prop_oneof![9 => Just(""), 1 => Just("\u{feff}")];
    (bom, vec(event(), 0..12), 0_usize..4).prop_map(|(bom, events, lost)| {
        let mut text = format!("{bom}{}", events.concat());
        let keep = text.len() - lost.min(text.len());
        // The last event may lack its blank line, or more.
        text.truncate((0..=keep).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0));
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_scan_of_any_object_says_what_a_parser_says(body in object(), seed: u8) {
        check_scan(body.as_bytes(), seed);
    }

    #[test]
    fn a_scan_of_a_request_says_what_a_parser_says(body in request(), seed: u8) {
        check_scan(body.as_bytes(), seed);
    }

    #[test]
    fn a_damaged_body_never_scans_as_something_else(body in object(), seed: u8, at: prop::sample::Index, byte: u8) {
        let mut body = body.into_bytes();
        let at = at.index(body.len());
        body[at] = byte;
        check_scan(&body, seed);
        body.truncate(at);
        check_scan(&body, seed);
    }

    #[test]
    fn to_splice_and_parse_is_to_parse_and_edit(body in request(), seed: u8, choice: u8) {
        check_splice(body.as_bytes(), seed, choice);
    }

    #[test]
    fn any_object_can_be_spliced(body in object(), seed: u8, choice: u8) {
        check_splice(body.as_bytes(), seed, choice);
    }

    #[test]
    fn a_stream_reads_the_same_however_it_is_cut(stream in stream(), seed: u8) {
        check_sse(stream.as_bytes(), seed);
    }
}

#[test]
fn a_stream_reads_the_same_cut_at_every_byte() {
    let stream = concat!(
        "\u{feff}: hello\r\n\r\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"grö\\\"usage\\\"\"}}],\"usage\":null}\n\n",
        "event: x\rdata: {\"choices\":[],\rdata:\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\r\r\n",
        "data: {\"usage\":null,\"choices\":[{\"finish_reason\":\"stop\"}]}\r\n\r\ndata: [DONE]\n\n",
    );
    let bytes = bytes::Bytes::from_static(stream.as_bytes());
    for mode in [TapMode::Observe, TapMode::StripUsage] {
        let (output, report) = super::bodies::tap(std::slice::from_ref(&bytes), mode);
        for first in 0..=bytes.len() {
            for second in [first, first + 1, first + 2, bytes.len()].map(|at| at.min(bytes.len())) {
                let chunks = [bytes.slice(..first), bytes.slice(first..second), bytes.slice(second..)];
                let (cut, told) = super::bodies::tap(&chunks, mode);
                assert_eq!(String::from_utf8_lossy(&cut), String::from_utf8_lossy(&output));
                assert_eq!(super::bodies::text(&told), super::bodies::text(&report));
            }
        }
    }
    for seed in 0..16 {
        check_sse(stream.as_bytes(), seed);
    }
}
