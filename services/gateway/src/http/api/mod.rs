//! Our own HTTP API.

use std::rc::Rc;

use hyper::body::Incoming;
use hyper::{Request, StatusCode};

use crate::http::{Response, problem};
use crate::shard::Shard;

pub(super) const PREFIX: &str = "/v1/";

pub(super) async fn serve(shard: &Rc<Shard>, _request: Request<Incoming>) -> Response {
    problem::response(&shard.gateway, StatusCode::NOT_FOUND, "not_found", "not yet")
}
