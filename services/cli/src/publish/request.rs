//! One request to the HTTP API and its answer.

use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;

use crate::failure::Failure;
use crate::remote::{self, Remote};

/// For request and answer, once connected.
const WITHIN: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: usize = 1 << 20;

pub(super) struct Publish<'a> {
    pub(super) remote: &'a Remote,
    pub(super) api_key: &'a str,
    pub(super) body: Value,
}

impl Publish<'_> {
    /// The gateway's answer, if it took the publication.
    pub(super) async fn send(&self) -> anyhow::Result<Value> {
        let stream = remote::connect(&self.remote.address).await?;
        match tokio::time::timeout(WITHIN, self.exchange(stream)).await {
            Ok(answer) => answer,
            Err(_) => {
                let (address, seconds) = (&self.remote.address, WITHIN.as_secs());
                Err(Failure::Unreachable(format!("{address} did not answer within {seconds} s"))
                    .into())
            }
        }
    }

    async fn exchange(&self, stream: remote::Stream) -> anyhow::Result<Value> {
        let request = self.request()?;
        let not_http = || format!("{} does not speak HTTP (--url)", self.remote.address);
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.with_context(not_http)?;
        let answer = async {
            let response = sender.send_request(request).await.with_context(not_http)?;
            self.read(response).await
        };
        tokio::pin!(answer);
        tokio::select! {
            answer = &mut answer => answer,
            // It ends first where the gateway closes after its answer, which may still be buffered.
            _ = connection => answer.await,
        }
    }

    fn request(&self) -> anyhow::Result<Request<Full<Bytes>>> {
        let request = Request::post(format!("/v1/apps/{}/publish", self.remote.app))
            .header(header::HOST, self.remote.address.authority())
            .header(header::USER_AGENT, concat!("wharf/", env!("CARGO_PKG_VERSION")))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.api_key))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(self.body.to_string())));
        let text = "the API key has characters that no key has: check --api-key-file";
        Ok(request.map_err(|_| Failure::Usage(String::from(text)))?)
    }

    async fn read(&self, response: Response<Incoming>) -> anyhow::Result<Value> {
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(anyhow::Error::from_boxed).context("read the answer")?.to_bytes();
        let answer = serde_json::from_slice::<Value>(&body).ok();
        if status.is_success() {
            return answer.with_context(|| format!("{} is no Wharf gateway", self.remote.address));
        }
        let word = |name: &str| answer.as_ref()?.get(name)?.as_str().map(String::from);
        let detail = word("detail").unwrap_or_else(|| String::from("it does not say why"));
        let code = word("code").map(|code| format!(" {code}")).unwrap_or_default();
        let fix = match status {
            StatusCode::UNAUTHORIZED => String::from(" (--api-key-file, --app)"),
            StatusCode::NOT_FOUND => String::from(" (--url, --app)"),
            StatusCode::PAYLOAD_TOO_LARGE => format!(
                " (the app's payload_bytes_max is for the message, the gateway's \
                 api_body_bytes_max for the request, here of {} bytes)",
                self.body.to_string().len()
            ),
            _ => String::new(),
        };
        bail!("the gateway refused: {}{code}: {detail}{fix}", status.as_u16())
    }
}
