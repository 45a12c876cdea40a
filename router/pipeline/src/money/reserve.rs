//! What an exchange holds, from before its queue to the end of its answer.

use std::ops::Range;

use atp_core::port::Reading;
use atp_core::{
    Continuity, Error, Exchange, Features, Forecast, MicroUsd, Operation, Payload, Price, Qos, Report, Usage,
};
use atp_routing::budget::{Amount, Tab};
use atp_routing::estimate::Ask;
use atp_routing::task;
use bytes::Bytes;

use super::cell::{self, Cells};
use super::meter::Meter;
use super::pot::Share;
use super::refusal;
use crate::clock;
use crate::live::{Live, Route};
use crate::settle::Books;

/// Output tokens that are held for an answer in one piece whose request names no limit, where it is not
/// expected to be longer. Where fewer can be paid for, the provider is told so; a limit above it is not sent,
/// because models refuse limits beyond their own, and nearly all allow as much as this.
const WHOLE: u64 = 4_096;
/// Bytes of a request's body, or of an answer in one piece, that are taken for a token where no tokenizer has counted.
const BYTES_PER_TOKEN: u64 = 4;

/// What an exchange holds. Dropping it gives all of it back.
pub(crate) struct Reservation {
    pub(super) cells: Cells,
    pub(super) tab: Tab,
    pub(super) meter: Meter,
    /// The most output tokens of one choice that a provider may be asked for.
    ceiling: Option<u64>,
    /// Its part of what the exchange may cost, where that may ask several models.
    share: Option<Share>,
    /// Bytes of an answer in one piece that told no usage.
    parts: u64,
    ask: Ask,
    qos: Qos,
    forecast: Forecast,
    settled: bool,
}

/// Holds what `exchange` is expected to cost at `route`, and leaves it with the books; says why not.
///
/// # Errors
///
/// [`atp_core::ErrorKind::BudgetDenied`], naming whose budget, its limit, what is spent and held, and when it
/// turns; or the request's own ceiling, which cannot be kept either where the model has no price.
pub(crate) fn reserve(
    books: &mut Books,
    route: &Route,
    star: Option<&Range<usize>>,
    live: &Live,
    exchange: &Exchange,
) -> Result<(), Error> {
    if !live.money.concerns(exchange) {
        return Ok(());
    }
    let mut share = books.share.take();
    let cap = share.as_ref().map_or_else(|| live.money.cap(exchange), |share| Some(share.first_room()));
    let now_ms = clock::unix_ms(clock::now());
    let cells = live.money.cells(exchange, now_ms);
    if cells.is_empty() && cap.is_none() {
        return Ok(());
    }
    let (price, gap) = dearest(route, star, &exchange.model);
    if let (Gap::Some, Some(cap)) = (gap, exchange.hints.as_ref().and_then(|hints| hints.max_cost)) {
        books.shared.metrics.money.over_ceiling();
        return Err(refusal::unpriced(&route.name, cap));
    }
    let (ask, forecast) = estimate(books, route, exchange, price);
    let mut tab = Tab::new(forecast.input, price, cap);
    let (least, most) = wanted(exchange, &ask, &forecast);
    let _span = tracing::debug_span!(
        "budget.check",
        "budget.accounts" = cells.len(),
        "budget.tokens" = tab.amount(least).tokens,
        "budget.usd_micros" = tab.amount(least).cost.0,
    )
    .entered();
    let granted = cell::open(&cells, &mut tab, least, most, now_ms).map_err(|denied| {
        let error = refusal::refusal(&denied, &cells, share.as_ref().map(Share::cap), now_ms);
        tracing::debug_span!("budget.denied", "budget.reason" = error.public()).in_scope(|| {});
        books.shared.metrics.money.refused(&denied);
        error
    })?;
    let ceiling = ceiling(exchange, &ask, most, granted.covered, granted.payable);
    let meter = Meter::new(ask.n);
    books.bounded = ceiling.is_some();
    if let Some(share) = &mut share {
        share.holds(tab.held().cost);
    }
    let reservation =
        Reservation { cells, tab, meter, ceiling, share, parts: 0, ask, qos: exchange.qos, forecast, settled: false };
    books.reserved = Some(Box::new(reservation));
    Ok(())
}

/// Whether the caller's accounts, and its ceiling, cover so much now. Nothing is held.
pub(crate) fn covers(live: &Live, exchange: &Exchange, guarded: MicroUsd, tokens: u64) -> bool {
    if !live.money.concerns(exchange) {
        return true;
    }
    let now_ms = clock::unix_ms(clock::now());
    let amount = Amount { cost: guarded, tokens };
    live.money.cap(exchange).is_none_or(|cap| guarded <= cap)
        && live.money.cells(exchange, now_ms).iter().all(|cell| cell.covers(amount, now_ms))
}

/// Whether there is a target without a price, so that no ceiling can be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gap {
    None,
    Some,
}

/// The price of the dearest target for the model `asked` for, each part by itself: who answers is not known yet.
pub(crate) fn dearest(route: &Route, star: Option<&Range<usize>>, asked: &str) -> (Option<Price>, Gap) {
    let (mut dearest, mut gap) = (None, Gap::None);
    for lane in &route.lanes {
        let Some(price) = lane.price_of(&lane.model_for(asked, star)) else {
            gap = Gap::Some;
            continue;
        };
        let other = dearest.unwrap_or(price);
        dearest = Some(Price {
            input: price.input.max(other.input),
            output: price.output.max(other.output),
            cached_input: price.cached_input.max(other.cached_input),
        });
    }
    (dearest, gap)
}

/// What the exchange is expected to use. Reads the whole body, but where the choice of its model has.
fn estimate(books: &Books, route: &Route, exchange: &Exchange, price: Option<Price>) -> (Ask, Forecast) {
    let ask = books.chosen.as_ref().map_or_else(|| asked(books, exchange), |chosen| chosen.basis.ask);
    (ask, route.known.forecast(&ask, price, exchange.qos))
}

fn asked(books: &Books, exchange: &Exchange) -> Ask {
    let writes = matches!(exchange.operation, Operation::Chat | Operation::Completions);
    let reads = writes || exchange.operation == Operation::Embeddings;
    let counted =
        if reads { (books.shared.dialect.features)(exchange, Reading::Estimate) } else { Features::default() };
    let bytes = match &exchange.payload {
        Payload::Rope(rope) if reads => rope.len() as u64,
        // Sound and pictures are no text, and a raw call says not even what it asks for.
        Payload::Rope(_) | Payload::Once { .. } => 0,
    };
    let tokens = if counted.tokens > 0 { counted.tokens } else { bytes.div_ceil(BYTES_PER_TOKEN) };
    let features = Features { tokens, ..counted };
    let said = exchange.hints.as_ref().and_then(|hints| hints.task.as_deref());
    let most = if writes { exchange.fields.max_tokens } else { Some(0) };
    Ask::new(&features, task::cluster(&features, said), most, exchange.fields.n.unwrap_or(1))
}

/// The output tokens that have to be held and those that are to be, of all choices together.
fn wanted(exchange: &Exchange, ask: &Ask, forecast: &Forecast) -> (u64, u64) {
    let least = forecast.output_guarded;
    if exchange.stream {
        return (least, least);
    }
    let asked = ask.max_output.map(|most| most.saturating_mul(ask.n.max(1)));
    (least, asked.unwrap_or(least.max(WHOLE)))
}

/// What a provider may be asked for: what is held of an answer in one piece, what could be paid for of a
/// stream, which is metered besides; nothing where the request asks for no more anyway.
fn ceiling(exchange: &Exchange, ask: &Ask, most: u64, covered: u64, payable: Option<u64>) -> Option<u64> {
    if !matches!(exchange.operation, Operation::Chat | Operation::Completions) {
        return None;
    }
    let payable = payable?;
    let all = if exchange.stream { payable } else { covered };
    let each = (all / ask.n.max(1)).max(1);
    let bound = match ask.max_output {
        Some(asked) => each < asked,
        None => each < WHOLE.min(most.max(WHOLE)),
    };
    bound.then_some(each)
}

impl Reservation {
    /// What a try may ask its provider for.
    pub(crate) fn ceiling(&self, continuity: Continuity<'_>) -> Option<u64> {
        let said = match continuity {
            Continuity::Continue(resume) => resume.tokens,
            Continuity::None | Continuity::Remember => 0,
        };
        self.ceiling.map(|most| most.saturating_sub(said).max(1))
    }

    /// What was used as far as the router itself has seen.
    pub(crate) fn metered(&self) -> Usage {
        self.tab.usage()
    }

    /// What was asked of the estimators, and what they said.
    pub(crate) fn estimate(&self) -> (&Ask, &Forecast) {
        (&self.ask, &self.forecast)
    }

    /// The class of service that it was made for.
    pub(crate) fn qos(&self) -> Qos {
        self.qos
    }

    /// So many output tokens have been made at least.
    pub(crate) fn made(&mut self, output: u64) {
        self.tab.uses(output);
    }

    /// What the stream's dialect needs to end it, where no more of it can be paid for.
    pub(crate) fn ends_behind(&self) -> Option<Bytes> {
        self.meter.is_over().then(|| self.meter.sample())
    }

    /// Whether nothing of it has kept the answer short.
    pub(crate) fn ended_itself(&self) -> bool {
        self.ceiling.is_none() && !self.meter.is_over()
    }

    /// Ends it: what is held goes back, and what was used is counted.
    pub(crate) fn settle(&mut self, used: Amount, now_ms: u64) {
        self.settled = true;
        if let Some(share) = self.share.take() {
            share.ends(used.cost);
        }
        let Some((place, spike)) = cell::settle(&self.cells, self.tab, used, now_ms) else { return };
        let Some(cell) = self.cells.get(place) else { return };
        let span = tracing::debug_span!(
            "budget.spike_detected",
            "budget.whose" = cell.whose.label(),
            "budget.name" = &*cell.name,
            "budget.z" = spike.z
        );
        span.in_scope(|| {
            tracing::warn!(
                whose = cell.whose.label(),
                name = &*cell.name,
                cost_micro_usd = used.cost.0,
                usual_micro_usd = spike.mean,
                deviations = spike.z,
                "a request cost far more than those before it"
            );
        });
    }

    /// A part of an answer in one piece goes out, whose provider has told no usage: four bytes are a token.
    pub(crate) fn part(&mut self, bytes: u64) {
        self.parts += bytes;
        self.tab.uses(self.parts.div_ceil(BYTES_PER_TOKEN));
    }

    /// A piece of the answer goes out: what of it does.
    pub(crate) fn piece(&mut self, piece: Bytes, report: &Report) -> Bytes {
        if let Some(share) = &self.share {
            self.tab.bound(Some(share.room()));
        }
        let piece = self.meter.piece(piece, report, &mut self.tab, &self.cells);
        if let Some(share) = &mut self.share {
            share.holds(self.tab.held().cost);
        }
        piece
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.settled {
            self.settle(Amount::NONE, clock::unix_ms(clock::now()));
        }
    }
}
