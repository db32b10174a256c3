//! Ending connections.

use model::{ServerAnswer, ServerCall};
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::{Answer, Failure};
use super::call::{Call, Change};
use super::document::Failures;
use super::read;

pub(super) const DISCONNECT_FIELDS: [&str; 2] = ["user", "connection"];

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Disconnected {
    /// Connections that were told to go.
    disconnected: usize,
}

/// Disconnect a user or one connection
///
/// A client may connect again: take its credential away first.
#[utoipa::path(
    post,
    path = "/v1/apps/{app}/disconnect",
    tag = "connections",
    params(("app" = String, Path, description = "The app's code")),
    request_body = super::document::Disconnect,
    responses((status = 200, description = "Told to go", body = Disconnected), Failures),
)]
pub(super) async fn disconnect(call: Call) -> Result<Answer, Failure> {
    read::query(&call.query, &[])?;
    let body = call.body.clone();
    let fields = read::object(read::text(&body)?, &DISCONNECT_FIELDS)?;
    let [user, connection] = fields.map(read::optional);
    let asked = match (user, connection) {
        (Some(user), None) => ServerCall::DisconnectUser { user: read::user("user", user)? },
        (None, Some(connection)) => {
            let connection = read::connection("connection", connection)?;
            ServerCall::DisconnectConnection { connection }
        }
        (None, None) | (Some(_), Some(_)) => {
            return Err(read::wrong("user", "or `connection`: name one of the two"));
        }
    };
    // To do it twice does what doing it once does: no key is needed.
    let change = Change { call: asked, key: None, answer_bytes_max: 0 };
    call.change(change, |answer| {
        let ServerAnswer::Disconnected(disconnected) = answer else { unreachable!("as asked") };
        Ok(Answer::ok(&Disconnected { disconnected }))
    })
    .await
}
