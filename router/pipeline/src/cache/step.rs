//! The step itself: from an exchange to its answer, kept, shared or made.

use std::sync::Arc;

use atp_core::{Exchange, Reply, Reused};

use super::{Cell, Found};
use crate::choose;
use crate::settle;
use crate::stack::{self, Call, Step};

/// How often an exchange joins a call that comes to nothing for reasons of its own, before it goes its way
/// alone.
const PATIENCE: usize = 3;

/// Takes an exchange that [`Cell::concerns`] through all steps.
pub(crate) async fn run(call: Call, cell: Arc<Cell>, mut exchange: Exchange) -> Reply {
    let Call { shared, live, found, left } = call;
    let spawn = Arc::clone(&shared.spawn);
    let mut books = settle::open(shared, &exchange, left);
    if let Err(error) = stack::admit(&mut books, &live, &exchange) {
        return books.refuse(error);
    }
    // Before an answer is shared: who may not see the request may not be asked for others' sake either.
    if let Some(Err(error)) = found.as_ref().map(|found| choose::may_see(&found.route, &live, &exchange)) {
        return books.refuse(error);
    }
    books.enter(Step::Cache);
    books.route = found.as_ref().map(|found| Arc::clone(&found.route));
    for _ in 0..PATIENCE {
        let Some(body) = Cell::concerns(&exchange) else { break };
        match cell.find(&exchange, body) {
            Found::Hit(kept) => return books.reuse(kept.answer(), Reused::Hit),
            Found::Join(seat) => {
                books.joins();
                match seat.other().await {
                    Some(Ok(answer)) => return books.reuse(answer, Reused::Coalesced),
                    Some(Err(error)) => return books.refuse_joined(error),
                    None => {}
                }
            }
            Found::Lead(lead, seat) => {
                let call = async move { stack::serve(books, &live, found, &mut exchange).await };
                spawn(Box::pin(lead.fly(Box::pin(call))));
                return seat.first().await;
            }
            Found::Record(recorder) => {
                return recorder.listen(stack::serve(books, &live, found, &mut exchange).await);
            }
            Found::Nothing => break,
        }
    }
    stack::serve(books, &live, found, &mut exchange).await
}
