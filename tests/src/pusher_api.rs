//! Pusher's HTTP API as a tenant's backend calls it: signed.

use std::net::SocketAddr;

use anyhow::Context as _;
use md5::{Digest as _, Md5};
use serde_json::{Value, json};

use crate::client::hmac_hex;
use crate::http::{self, Answer};
use crate::wait::eventually;

/// One app's backend.
#[derive(Clone, Debug)]
pub struct PusherApi {
    pub address: SocketAddr,
    pub app: u64,
    pub key: &'static str,
    pub secret: &'static str,
}

impl PusherApi {
    /// Of the app `demo`.
    pub fn demo(address: SocketAddr) -> Self {
        Self { address, app: 1, key: "demokey", secret: "demo-secret-0123456789" }
    }

    pub async fn trigger(&self, channel: &str, event: &str, data: &str) -> anyhow::Result<()> {
        let answer = self.try_trigger(channel, event, data).await?;
        anyhow::ensure!(answer.status == 200, "{} {}", answer.status, answer.body);
        Ok(())
    }

    pub async fn try_trigger(
        &self,
        channel: &str,
        event: &str,
        data: &str,
    ) -> anyhow::Result<Answer> {
        let body = json!({"name": event, "channel": channel, "data": data}).to_string();
        self.send("POST", "/events", &body).await
    }

    /// Channels with a subscriber.
    pub async fn channels(&self) -> anyhow::Result<Vec<String>> {
        let channels = self.send("GET", "/channels", "").await?.json()?;
        let channels = channels["channels"].as_object().map(serde_json::Map::keys);
        Ok(channels.into_iter().flatten().cloned().collect())
    }

    /// Waits until a channel has so many subscriptions: raw clients are not told when they are in.
    pub async fn wait_for_subscriptions(&self, channel: &str, count: u64) {
        eventually(&format!("{count} subscriptions of {channel}"), async || {
            (self.subscriptions(channel).await.ok()? == count).then_some(())
        })
        .await;
    }

    pub async fn subscriptions(&self, channel: &str) -> anyhow::Result<u64> {
        let query = [("info", "subscription_count")];
        let answer = self.ask(&format!("/channels/{channel}"), &query).await?.json()?;
        answer["subscription_count"].as_u64().context("subscription_count")
    }

    /// The users on a presence channel, in the order of their ids.
    pub async fn users(&self, channel: &str) -> anyhow::Result<Vec<String>> {
        let users = self.send("GET", &format!("/channels/{channel}/users"), "").await?.json()?;
        let ids = users["users"].as_array().into_iter().flatten();
        let mut ids: Vec<_> =
            ids.filter_map(|user| user["id"].as_str()).map(String::from).collect();
        ids.sort();
        Ok(ids)
    }

    /// A question with parameters, whose names sort after ours.
    async fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> anyhow::Result<Answer> {
        let extra: String =
            parameters.iter().map(|(name, value)| format!("&{name}={value}")).collect();
        self.signed("GET", path, "", &extra).await
    }

    pub async fn send(&self, method: &str, path: &str, body: &str) -> anyhow::Result<Answer> {
        let mut extra = String::new();
        if !body.is_empty() {
            let digest = Md5::digest(body.as_bytes());
            let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            extra = format!("&body_md5={hex}");
        }
        self.signed(method, path, body, &extra).await
    }

    async fn signed(
        &self,
        method: &str,
        path: &str,
        body: &str,
        extra: &str,
    ) -> anyhow::Result<Answer> {
        let path = format!("/apps/{}{path}", self.app);
        let now = runtime::clock::unix_seconds();
        let key = self.key;
        let query = format!("auth_key={key}&auth_timestamp={now}&auth_version=1.0{extra}");
        let signature = hmac_hex(self.secret, &format!("{method}\n{path}\n{query}"));
        let target = format!("{path}?{query}&auth_signature={signature}");
        let headers = [("Content-Type", "application/json")];
        http::send(self.address, method, &target, &headers, body.as_bytes()).await
    }
}

/// A presence member as its backend signs it.
pub fn member(user: &str) -> Value {
    json!({"user_id": user, "user_info": {"name": user}})
}
