//! The behaviours that a request can ask of the scripted upstream, by name.

use std::time::Duration;

/// What the upstream does with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    /// What the path and `"stream"` ask for: a chat reply, a 64-chunk stream, embeddings, or an echo.
    Auto,
    /// `fast`: a chat reply of 1 KB; as a stream, 8 chunks.
    Fast,
    /// `stream64`, `stream64-burst`, `stream64-paced:5`: a stream of so many content chunks.
    Stream(u32, Pace),
    /// `idle:60`: the stream opens with one chunk, is silent for so long, then ends well.
    Idle(Duration),
    /// `embed100`: embeddings of so many inputs, 512 dimensions each.
    Embed(u32),
    /// `tools`: the reply calls one tool; `tools:2` calls two in parallel.
    Tools(u32),
    /// `n2`: so many choices.
    Choices(u32),
    /// `echo`: a reply that tells what arrived: path, headers, length and SHA-256 of the body.
    Echo,
    /// `reset`: the connection is reset (RST) after the request was read.
    Reset,
    /// `reset-stream:3`: reset after so many chunks.
    ResetStream(u32),
    /// `hang-head`: the answer never begins.
    HangHead,
    /// `hang-stream:3`: the stream falls silent after so many chunks and never ends.
    HangStream(u32),
    /// `cut-chunk:3`: closed in the middle of an HTTP chunk after so many whole ones.
    CutChunk(u32),
    /// `cut-body`: a `content-length` that the body does not reach before the connection closes.
    CutBody,
    /// `no-answer`: closed without a byte.
    NoAnswer,
    /// `status-429:2`: an error reply; the number is `Retry-After` in seconds.
    Status(u16, Option<u32>),
    /// `early-413`: an error reply before the body is read, then the connection closes.
    Early(u16),
    /// `html-502`: an error reply that is a web page, as proxies in between send.
    Html(u16),
    /// `garbage-sse`: a stream of lines that are no events and no JSON, then the end.
    GarbageSse,
    /// `long-line:100MB`: a stream whose one line is that long.
    LongLine(u64),
    /// `slow-body:20`: the chat reply, 16 bytes at a time, so many milliseconds apart.
    SlowBody(Duration),
    /// `slow-head:200`: the chat reply after so many milliseconds.
    SlowHead(Duration),
    /// `slow-read:20`: reads the request's body 16 KiB at a time, so many milliseconds apart, then answers.
    SlowRead(Duration),
    /// `error-in-200:3`: a stream with an error event after so many chunks.
    ErrorIn200(u32),
    /// `flaky:3`: every third request fails with 500, the others are `fast`.
    Flaky(u64),
    /// `close-idle`: a good reply that promises keep-alive, and a closed connection right after it.
    CloseIdle,
    /// `close`: a good reply with `connection: close`.
    Close,
}

/// How the chunks of a stream leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pace {
    /// One write per chunk, without a pause between them.
    AtOnce,
    /// All chunks in a single write.
    Burst,
    /// So far apart.
    Every(Duration),
}

/// One line per script: how it is called, what it does. Shown when a name is wrong.
pub const NAMES: &str = "auto, fast, stream<N>, stream<N>-burst, stream<N>-paced[:MS], idle[:S], embed<N>, tools[:N], n<N>, echo, \
reset, reset-stream[:AFTER], hang-head, hang-stream[:AFTER], cut-chunk[:AFTER], cut-body, no-answer, status-<CODE>[:RETRY_AFTER_S], \
early-<CODE>, html-<CODE>, garbage-sse, long-line[:BYTES|MB], slow-body[:MS], slow-head[:MS], slow-read[:MS], error-in-200[:AFTER], \
flaky[:K], close-idle, close";

/// Largest number of chunks, inputs, choices and tool calls a name may ask for.
const MOST: u32 = 10_000;

impl Script {
    /// Reads a script's name, as in the header `x-script` or as the model's name. Nothing is
    /// returned for a name that is no script.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (name, argument) = match text.split_once(':') {
            Some((name, argument)) => (name, Some(argument)),
            None => (text, None),
        };
        let after = |default: u32| argument.map_or(Some(default), count);
        let millis = |default: u64| argument.map_or(Some(default), |text| text.parse().ok()).map(Duration::from_millis);
        Some(match name {
            "auto" => Self::Auto,
            "fast" => Self::Fast,
            "idle" => Self::Idle(Duration::from_secs(argument.map_or(Some(60), |text| text.parse().ok())?)),
            "tools" => Self::Tools(after(1)?),
            "echo" => Self::Echo,
            "reset" => Self::Reset,
            "reset-stream" => Self::ResetStream(after(3)?),
            "hang-head" => Self::HangHead,
            "hang-stream" => Self::HangStream(after(3)?),
            "cut-chunk" => Self::CutChunk(after(3)?),
            "cut-body" => Self::CutBody,
            "no-answer" => Self::NoAnswer,
            "garbage-sse" => Self::GarbageSse,
            "long-line" => Self::LongLine(size(argument.unwrap_or("100MB"))?),
            "slow-body" => Self::SlowBody(millis(20)?),
            "slow-head" => Self::SlowHead(millis(200)?),
            "slow-read" => Self::SlowRead(millis(20)?),
            "error-in-200" => Self::ErrorIn200(after(3)?),
            "flaky" => Self::Flaky(u64::from(after(2)?.max(1))),
            "close-idle" => Self::CloseIdle,
            "close" => Self::Close,
            _ => return Self::parse_numbered(name, argument),
        })
    }

    /// Names that hold a number: `stream64-paced`, `embed100`, `n2`, `status-429`.
    fn parse_numbered(name: &str, argument: Option<&str>) -> Option<Self> {
        if let Some(rest) = name.strip_prefix("stream") {
            let (number, pace) = match rest.split_once('-') {
                None => (rest, Pace::AtOnce),
                Some((number, "burst")) => (number, Pace::Burst),
                Some((number, "paced")) => {
                    let millis = argument.map_or(Some(5), |text| text.parse().ok())?;
                    (number, Pace::Every(Duration::from_millis(millis)))
                }
                Some(_) => return None,
            };
            return Some(Self::Stream(count(number)?, pace));
        }
        if let Some(code) = name.strip_prefix("status-") {
            let retry_after = match argument {
                Some(text) => Some(text.parse().ok()?),
                None => None,
            };
            return Some(Self::Status(status(code)?, retry_after));
        }
        if let Some(code) = name.strip_prefix("early-") {
            return Some(Self::Early(status(code)?));
        }
        if let Some(code) = name.strip_prefix("html-") {
            return Some(Self::Html(status(code)?));
        }
        if let Some(number) = name.strip_prefix("embed") {
            return Some(Self::Embed(count(number)?));
        }
        Some(Self::Choices(count(name.strip_prefix('n')?)?))
    }
}

fn count(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number| *number <= MOST)
}

fn status(text: &str) -> Option<u16> {
    text.parse().ok().filter(|code| (400..600).contains(code))
}

/// Bytes, with `KB` and `MB` in powers of ten; at most 1 GB, so that a typing error ends.
fn size(text: &str) -> Option<u64> {
    let (number, unit) = match text.strip_suffix("MB") {
        Some(number) => (number, 1_000_000),
        None => text.strip_suffix("KB").map_or((text, 1), |number| (number, 1_000)),
    };
    number.parse::<u64>().ok()?.checked_mul(unit).filter(|bytes| *bytes <= 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_their_numbers() {
        let cases = [
            ("fast", Script::Fast),
            ("stream64", Script::Stream(64, Pace::AtOnce)),
            ("stream8-burst", Script::Stream(8, Pace::Burst)),
            ("stream64-paced", Script::Stream(64, Pace::Every(Duration::from_millis(5)))),
            ("stream64-paced:20", Script::Stream(64, Pace::Every(Duration::from_millis(20)))),
            ("status-429:2", Script::Status(429, Some(2))),
            ("status-500", Script::Status(500, None)),
            ("embed100", Script::Embed(100)),
            ("n2", Script::Choices(2)),
            ("long-line:100MB", Script::LongLine(100_000_000)),
            ("idle:7", Script::Idle(Duration::from_secs(7))),
            ("flaky:3", Script::Flaky(3)),
        ];
        for (name, script) in cases {
            assert_eq!(Script::parse(name), Some(script), "{name}");
        }
    }

    #[test]
    fn other_models_are_no_scripts() {
        for name in [
            "gpt-4o-mini",
            "m",
            "",
            "streamer",
            "status-200",
            "stream64-fast",
            "flaky:x",
            "n",
            "nova",
            "long-line:99999MB",
        ] {
            assert_eq!(Script::parse(name), None, "{name}");
        }
    }
}
