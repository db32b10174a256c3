//! A scrape of `/metrics`, asked by name and labels.

use std::net::SocketAddr;

use crate::http;

#[derive(Clone, Debug)]
pub struct Metrics(String);

impl Metrics {
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }

    /// From a process's admin listener.
    pub async fn scrape(admin: SocketAddr) -> anyhow::Result<Self> {
        let answer = http::get(admin, "/metrics").await?;
        anyhow::ensure!(answer.status == 200, "/metrics answers {}", answer.status);
        Ok(Self(answer.body))
    }

    /// The sum of all series of this name that have these labels; 0 where there is none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let series = self.0.lines().filter(|line| !line.starts_with('#'));
        let matching = series.filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (of, has) = series.split_once('{').unwrap_or((series, ""));
            let label = |(key, wanted): &(&str, &str)| has.contains(&format!("{key}=\"{wanted}\""));
            (of == name && labels.iter().all(label)).then(|| value.parse::<f64>().ok()).flatten()
        });
        matching.sum()
    }

    pub fn active(&self) -> f64 {
        self.sum("wharf_gateway_connection_active", &[])
    }

    pub fn closed(&self, reason: &str) -> f64 {
        self.sum("wharf_gateway_connection_closed_total", &[("wharf_reason", reason)])
    }

    pub fn rejected(&self, reason: &str) -> f64 {
        self.sum("wharf_gateway_connection_rejected_total", &[("wharf_reason", reason)])
    }
}
