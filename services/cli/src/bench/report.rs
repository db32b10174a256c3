//! Results as people and programs read them. A latency that the generator cannot stand for is not
//! printed; the reason is.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
};

use anyhow::Context as _;
use serde::Serialize;

use super::{
    args::Output,
    engine::{Flow, Phase, Tally, withheld},
    process::{Memory, Process},
};

/// What came of one stream of messages.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Delivery {
    pub(super) sent: u64,
    pub(super) expected: u64,
    pub(super) received: u64,
    pub(super) lost: u64,
    pub(super) duplicated: u64,
    pub(super) out_of_order: u64,
    /// Sends more than 10 ms behind their schedule.
    pub(super) late_sends: u64,
    pub(super) lateness_max_ms: f64,
    pub(super) deliveries_per_second: f64,
    pub(super) latency: Option<Latency>,
    pub(super) latency_withheld: Option<String>,
}

/// Milliseconds from the due time to the arrival.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Latency {
    pub(super) mean_ms: f64,
    pub(super) p50_ms: f64,
    pub(super) p90_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) p999_ms: f64,
    pub(super) max_ms: f64,
}

/// What else happened while it was measured.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Conditions {
    pub(super) seconds: f64,
    pub(super) generator_cpu_percent: f64,
    pub(super) steal_percent: f64,
    pub(super) interrupted: bool,
}

/// What it cost the server, when its process is known.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct ServerCost {
    pub(super) cpu_seconds: f64,
    pub(super) cpu_us_per_delivery: f64,
    pub(super) memory: Memory,
}

impl Delivery {
    pub(super) fn of(flow: &Flow, phase: &Phase) -> Self {
        let tally = &flow.tally;
        let withheld = withheld(tally, phase.generator_cpu_percent);
        Self {
            sent: tally.sent,
            expected: flow.expected(),
            received: tally.received,
            lost: flow.expected().saturating_sub(tally.received),
            duplicated: tally.duplicated,
            out_of_order: tally.out_of_order,
            late_sends: tally.late,
            lateness_max_ms: tally.lateness_max as f64 / 1e6,
            deliveries_per_second: flow.delivery_rate(),
            latency: withheld.is_none().then(|| Latency::of(tally)),
            latency_withheld: withheld,
        }
    }

    pub(super) fn describe(&self, table: &mut Table, of: &str) {
        table.row(format!("{of}: sent"), self.sent);
        table.row(format!("{of}: delivered"), format!("{} of {}", self.received, self.expected));
        table.row(
            format!("{of}: lost / duplicated / out of order"),
            format!("{} / {} / {}", self.lost, self.duplicated, self.out_of_order),
        );
        table.row(
            format!("{of}: sent late by > 10 ms"),
            format!("{} (worst {:.1} ms)", self.late_sends, self.lateness_max_ms),
        );
        table.row(
            format!("{of}: deliveries a second"),
            format!("{:.0}", self.deliveries_per_second),
        );
        let latency = match (&self.latency, &self.latency_withheld) {
            (Some(latency), _) => format!(
                "{:.3} / {:.3} / {:.3} / {:.3} ms",
                latency.p50_ms, latency.p99_ms, latency.p999_ms, latency.max_ms
            ),
            (None, reason) => format!("- ({})", reason.as_deref().unwrap_or("not measured")),
        };
        table.row(format!("{of}: latency p50 / p99 / p99.9 / max"), latency);
    }
}

impl Latency {
    fn of(tally: &Tally) -> Self {
        let at = |quantile| tally.latency.value_at_quantile(quantile) as f64 / 1e3;
        Self {
            mean_ms: tally.latency.mean() / 1e3,
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: tally.latency.max() as f64 / 1e3,
        }
    }
}

impl Conditions {
    pub(super) fn of(phase: &Phase) -> Self {
        Self {
            seconds: phase.seconds,
            generator_cpu_percent: phase.generator_cpu_percent,
            steal_percent: phase.steal_percent,
            interrupted: phase.interrupted,
        }
    }

    pub(super) fn describe(&self, table: &mut Table) {
        let early = if self.interrupted { " (interrupted)" } else { "" };
        table.row("measured for", format!("{:.1} s{early}", self.seconds));
        table.row("generator CPU", format!("{:.0} % of a core", self.generator_cpu_percent));
        table.row("stolen by the hypervisor", format!("{:.1} %", self.steal_percent));
    }
}

impl ServerCost {
    /// `None` when the server's process is not known.
    pub(super) fn of(phase: &Phase, server: Option<Process>) -> anyhow::Result<Option<Self>> {
        let (Some(server), Some(cpu)) = (server, phase.server_cpu) else { return Ok(None) };
        let deliveries: u64 = phase.flows.iter().map(|flow| flow.tally.received).sum();
        Ok(Some(Self {
            cpu_seconds: cpu as f64 / 1e9,
            cpu_us_per_delivery: cpu as f64 / 1e3 / deliveries.max(1) as f64,
            memory: server.memory()?,
        }))
    }

    pub(super) fn describe(cost: Option<&Self>, table: &mut Table) {
        match cost {
            Some(cost) => {
                table.row(
                    "server CPU",
                    format!(
                        "{:.2} us a delivery ({:.3} s)",
                        cost.cpu_us_per_delivery, cost.cpu_seconds
                    ),
                );
                table.row("server memory", mebibytes(cost.memory.rss_bytes));
            }
            None => table.row("server CPU", "- (say --server-pid)"),
        }
    }
}

/// A value as a table shows it: text or a count.
#[derive(Debug)]
pub(super) struct Value(String);

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Self(count.to_string())
    }
}

impl From<usize> for Value {
    fn from(count: usize) -> Self {
        Self(count.to_string())
    }
}

/// A label and a value a line.
#[derive(Debug)]
pub(super) struct Table {
    title: String,
    rows: Vec<(String, String)>,
}

impl Table {
    pub(super) fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), rows: Vec::new() }
    }

    pub(super) fn row(&mut self, label: impl Into<String>, value: impl Into<Value>) {
        self.rows.push((label.into(), value.into().0));
    }

    pub(super) fn closes(&mut self, label: &str, closes: &BTreeMap<String, u64>) {
        let text = closes
            .iter()
            .map(|(how, count)| format!("{how} x{count}"))
            .collect::<Vec<_>>()
            .join(", ");
        self.row(label, if text.is_empty() { "none".to_owned() } else { text });
    }

    fn text(&self) -> String {
        let width = self.rows.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
        let lines = self.rows.iter().map(|(label, value)| format!("  {label:width$}  {value}\n"));
        std::iter::once(format!("{}\n", self.title)).chain(lines).collect()
    }
}

/// Prints one result: the table, or `outcome` as one JSON object on one line.
pub(super) fn print(output: Output, table: &Table, outcome: &impl Serialize) -> anyhow::Result<()> {
    let text = match output {
        Output::Table => table.text(),
        Output::Json => {
            let mut text = serde_json::to_string(outcome).context("write the result as JSON")?;
            text.push('\n');
            text
        }
    };
    io::stdout().write_all(text.as_bytes()).context("print the result")
}

pub(super) fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
