//! The gates: Wharf's promises about cost, measured beside the floor and a peer in interleaved
//! rounds, each with its median, its range and a verdict.

mod servers;

use std::{
    num::NonZeroU32,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, bail};
use serde::Serialize;

use self::servers::Server;
use super::{
    affinity::{self, Pair},
    args::{self, Output, Via},
    clock, echo, fan_out, floor, idle,
    interrupt::Interrupt,
    process::Machine,
    report::{self, Table},
    stuck,
};

const BURST: NonZeroU32 = NonZeroU32::new(8).expect("eight is not zero");
const SUBSCRIBERS: usize = 1000;
const ECHO_BESIDE: usize = 5000;
/// So that the fan-out takes more than half of the server's time: at less, the median echo would
/// not even meet it.
const ECHO_BESIDE_RATE: f64 = 12.0;
/// One: several would share the frames that wait for them, and each look cheaper than it is.
const STUCK: usize = 1;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The gateway to measure, a release build
    #[arg(long, value_name = "PATH")]
    gateway_bin: PathBuf,
    /// Interleaved rounds; medians of them are judged
    #[arg(
        long,
        value_name = "N",
        default_value_t = 5,
        value_parser = clap::value_parser!(u32).range(1..=50)
    )]
    rounds: u32,
    /// A Node script to measure beside it: PORT in its environment; /sub, /pub and /echo
    #[arg(long, value_name = "PATH")]
    peer_node: Option<PathBuf>,
    /// Time of each measurement
    #[arg(long, value_name = "TIME", default_value = "4s", value_parser = args::parse_duration)]
    duration: Duration,
    /// Connections of the idle measurement
    #[arg(
        long,
        value_name = "N",
        default_value_t = 10_000,
        value_parser = clap::value_parser!(u32).range(100..=18_000)
    )]
    idle_connections: u32,
    /// Bytes that the gateway may queue for one connection
    #[arg(
        long,
        value_name = "BYTES",
        default_value_t = 256 * 1024,
        value_parser = clap::value_parser!(u64).range(4096..=1_048_576)
    )]
    queue_bound: u64,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// One promise and how it was kept.
#[derive(Debug, Clone, Serialize)]
struct Gate {
    name: String,
    unit: &'static str,
    limit: f64,
    goal: Option<f64>,
    #[serde(flatten)]
    spread: Spread,
    pass: bool,
}

/// A figure that is printed and not judged.
#[derive(Debug, Clone, Serialize)]
struct Figure {
    name: String,
    unit: &'static str,
    #[serde(flatten)]
    spread: Spread,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Spread {
    median: f64,
    lowest: f64,
    highest: f64,
    rounds: usize,
}

#[derive(Debug, Serialize)]
struct Outcome {
    mode: &'static str,
    pass: bool,
    gates: Vec<Gate>,
    figures: Vec<Figure>,
    notes: Vec<String>,
    machine: Machine,
    gateway: String,
    peer: Option<String>,
    interrupted: bool,
}

/// What one round measured.
struct Round {
    floor: floor::Outcome,
    floor_burst: floor::Outcome,
    gateway: Measured,
    stuck: stuck::Outcome,
    peer: Option<Measured>,
}

/// What is measured of every server.
struct Measured {
    idle: idle::Outcome,
    single: fan_out::Outcome,
    burst: fan_out::Outcome,
    echo: echo::Outcome,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    super::ensure_descriptors(args.idle_connections as usize + 1000)?;
    let interrupt = Interrupt::listen()?;
    let pair = Pair::available()?;
    if let Some(pair) = pair {
        affinity::pin(pair.generator)?;
    }
    let favoured = affinity::favour().is_ok();
    let bench = Bench { args, pair, favoured, interrupt };
    let mut rounds = Vec::new();
    for number in 1..=args.rounds {
        match bench.round(number) {
            Ok(round) => rounds.push(round),
            Err(_) if bench.interrupt.raised() => break,
            Err(error) => return Err(error).with_context(|| format!("round {number}")),
        }
        if bench.interrupt.raised() {
            break;
        }
    }
    if rounds.is_empty() {
        bail!("interrupted before the first round was complete");
    }
    let outcome = bench.judge(&rounds);
    report::print(args.output, &outcome.table(), &outcome)?;
    Ok(if outcome.pass { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Bench<'a> {
    args: &'a Args,
    pair: Option<Pair>,
    favoured: bool,
    interrupt: Interrupt,
}

impl Bench<'_> {
    fn round(&self, number: u32) -> anyhow::Result<Round> {
        let label = |what: &str| format!("round {number} of {}, {what}", self.args.rounds);
        let floor = self.floor(NonZeroU32::MIN).context("floor")?;
        let gateway = self.server(&label("gateway"), || self.gateway()).context("gateway")?;
        let stuck = self.stuck(&label("stuck readers")).context("stuck readers")?;
        let floor_burst = self.floor(BURST).context("floor of a burst")?;
        let peer = match &self.args.peer_node {
            Some(script) => Some(
                self.server(&label("peer"), || Server::peer(script, self.cpu())).context("peer")?,
            ),
            None => None,
        };
        Ok(Round { floor, floor_burst, gateway, stuck, peer })
    }

    fn gateway(&self) -> anyhow::Result<Server> {
        Server::gateway(&self.args.gateway_bin, self.args.queue_bound, self.cpu())
    }

    fn cpu(&self) -> Option<usize> {
        self.pair.map(|pair| pair.server)
    }

    fn load(&self, payload: usize) -> args::Load {
        args::Load { duration: self.args.duration, warm_up: Duration::from_secs(1), payload }
    }

    fn floor(&self, burst: NonZeroU32) -> anyhow::Result<floor::Outcome> {
        let params = args::Floor {
            connections: SUBSCRIBERS,
            rate: 20.0 * f64::from(burst.get()),
            burst,
            receiver_cpu: self.pair.map(|pair| pair.generator),
            load: self.load(100),
        };
        floor::measure(&params, self.cpu(), &self.interrupt)
    }

    /// Idle first and on a fresh server: memory that was freed once would hide what a connection
    /// needs.
    fn server(
        &self,
        label: &str,
        start: impl Fn() -> anyhow::Result<Server>,
    ) -> anyhow::Result<Measured> {
        let fresh = start()?;
        let mut engine = fresh.engine(&format!("{label}, idle"), &self.interrupt)?;
        let connections = self.args.idle_connections as usize;
        let idle = idle::measure(&mut engine, connections, &self.load(100)).context("idle")?;
        drop((engine, fresh));

        let server = start()?;
        let fan_out = |burst: NonZeroU32| {
            let params = args::FanOut {
                connections: SUBSCRIBERS,
                rate: 20.0 * f64::from(burst.get()),
                load: self.load(100),
            };
            let mut engine = server.engine(&format!("{label}, fan-out"), &self.interrupt)?;
            fan_out::measure(&mut engine, &params, burst.get()).context("fan-out")
        };
        let (single, burst) = (fan_out(NonZeroU32::MIN)?, fan_out(BURST)?);
        let params = args::Echo {
            connections: 50,
            rate: 500.0,
            via: Via::Channel,
            beside_fanout: Some(args::Beside { subscribers: ECHO_BESIDE, rate: ECHO_BESIDE_RATE }),
            load: self.load(100),
        };
        let mut engine = server.engine(&format!("{label}, echo"), &self.interrupt)?;
        let echo = echo::measure(&mut engine, &params).context("echo")?;
        Ok(Measured { idle, single, burst, echo })
    }

    /// On a gateway of its own: how far its memory rises is only told from a low level.
    fn stuck(&self, label: &str) -> anyhow::Result<stuck::Outcome> {
        let params = args::StuckReader {
            stuck: STUCK,
            slow_percent: 0,
            fan_out: args::FanOut {
                connections: SUBSCRIBERS,
                rate: 40.0,
                load: args::Load {
                    duration: self.args.duration.max(Duration::from_secs(5)),
                    ..self.load(4096)
                },
            },
        };
        let server = self.gateway()?;
        let mut engine = server.engine(label, &self.interrupt)?;
        stuck::measure(&mut engine, &params)
    }

    fn placement(&self) -> Vec<String> {
        let cpus = match self.pair {
            Some(Pair { server, generator }) => {
                format!("server on CPU {server}, generator on CPU {generator}")
            }
            None => "one CPU only: server and generator share it".to_owned(),
        };
        let favoured = if self.favoured { "both favoured" } else { "not favoured" };
        vec![format!("{cpus}, {favoured} by the scheduler")]
    }

    fn judge(&self, rounds: &[Round]) -> Outcome {
        let gates = gates(rounds, self.args.queue_bound);
        Outcome {
            mode: "gates",
            pass: gates.iter().all(|gate| gate.pass),
            figures: figures(rounds),
            notes: [self.placement(), notes(rounds)].concat(),
            gates,
            machine: Machine::read(),
            gateway: describe(&self.args.gateway_bin),
            peer: self.args.peer_node.as_deref().map(describe),
            interrupted: self.interrupt.raised(),
        }
    }
}

fn gates(rounds: &[Round], queue_bound: u64) -> Vec<Gate> {
    let gate = |name: &str, unit, bounds: (f64, Option<f64>), value: &dyn Fn(&Round) -> f64| {
        let spread = Spread::of(rounds, value);
        Gate {
            name: name.to_owned(),
            unit,
            limit: bounds.0,
            goal: bounds.1,
            spread,
            // A value that could not be measured is not a pass.
            pass: spread.median <= bounds.0,
        }
    };
    let kilobyte = 1000.0;
    vec![
        gate("idle RSS a connection, one subscription", "KB", (4.0, Some(2.5)), &|round| {
            round.gateway.idle.rss_bytes_per_connection / kilobyte
        }),
        gate("CPU of a delivery / of one bare send", "x", (1.3, Some(1.15)), &|round| {
            cost(&round.gateway.single) / round.floor.cpu_us_per_send
        }),
        gate("CPU of a delivery, 8 a turn / 1 a turn", "x", (0.2, None), &|round| {
            cost(&round.gateway.burst) / cost(&round.gateway.single)
        }),
        gate("echo p50 beside a 5,000-subscriber fan-out", "ms", (2.0, None), &|round| {
            p50(&round.gateway.echo.echo)
        }),
        gate(
            "held for a stuck reader, server and kernel",
            "KiB",
            (256.0 + queue_bound as f64 / 1024.0, None),
            &|round| round.stuck.held_bytes_per_reader.unwrap_or(f64::NAN) / 1024.0,
        ),
    ]
}

fn figures(rounds: &[Round]) -> Vec<Figure> {
    let mut figures = Vec::new();
    let mut add = |name: &str, unit, value: &dyn Fn(&Round) -> f64| {
        figures.push(Figure { name: name.to_owned(), unit, spread: Spread::of(rounds, value) });
    };
    add("floor: one send", "us", &|round| round.floor.cpu_us_per_send);
    add("floor: one send of 8 frames", "us", &|round| round.floor_burst.cpu_us_per_send);
    add("gateway: one delivery", "us", &|round| cost(&round.gateway.single));
    add("gateway: one delivery of 8 a turn", "us", &|round| cost(&round.gateway.burst));
    add("gateway: fan-out p50", "ms", &|round| p50(&round.gateway.single.delivery));
    add("gateway: echo p90 beside the fan-out", "ms", &|round| p90(&round.gateway.echo.echo));
    add("stuck readers: others' rate with / without", "x", &|round| round.stuck.rate_ratio);
    add("stuck readers: kernel memory of a send queue", "KiB", &|round| {
        round.stuck.kernel_send_memory_bytes as f64 / 1024.0
    });
    add("stuck readers: client receive queue", "KiB", &|round| {
        round.stuck.kernel_receive_bytes as f64 / 1024.0
    });
    if rounds.iter().all(|round| round.peer.is_some()) {
        let mut peer = |name: &str, unit, value: &dyn Fn(&Measured) -> f64| {
            add(name, unit, &|round| round.peer.as_ref().map_or(f64::NAN, value));
        };
        peer("peer: idle RSS a connection", "KB", &|peer| {
            peer.idle.rss_bytes_per_connection / 1000.0
        });
        peer("peer: one delivery", "us", &|peer| cost(&peer.single));
        peer("peer: one delivery of 8 a turn", "us", &|peer| cost(&peer.burst));
        peer("peer: fan-out p50", "ms", &|peer| p50(&peer.single.delivery));
        peer("peer: echo p50 beside the fan-out", "ms", &|peer| p50(&peer.echo.echo));
        peer("peer: echo p90 beside the fan-out", "ms", &|peer| p90(&peer.echo.echo));
    }
    figures
}

/// What a reader has to know before they believe the figures.
fn notes(rounds: &[Round]) -> Vec<String> {
    let mut notes = Vec::new();
    for (number, round) in rounds.iter().enumerate() {
        let number = number + 1;
        let measured = [("gateway", Some(&round.gateway)), ("peer", round.peer.as_ref())];
        for (of, measured) in measured.into_iter().filter_map(|(of, it)| Some((of, it?))) {
            let deliveries = [
                ("fan-out", &measured.single.delivery),
                ("burst", &measured.burst.delivery),
                ("echo", &measured.echo.echo),
            ];
            for (mode, delivery) in deliveries {
                if delivery.lost + delivery.duplicated + delivery.out_of_order > 0 {
                    notes.push(format!(
                        "round {number}, {of}, {mode}: {} lost, {} duplicated, {} out of order",
                        delivery.lost, delivery.duplicated, delivery.out_of_order
                    ));
                }
                if let Some(reason) = &delivery.latency_withheld {
                    notes.push(format!("round {number}, {of}, {mode}: no latency: {reason}"));
                }
            }
        }
        let codes = round.stuck.stuck_closes.keys().cloned().collect::<Vec<_>>().join(", ");
        notes.push(format!(
            "round {number}: stuck readers closed with {}",
            if codes.is_empty() { "nothing (still open)" } else { &codes }
        ));
    }
    notes
}

fn cost(outcome: &fan_out::Outcome) -> f64 {
    outcome.server.map_or(f64::NAN, |server| server.cpu_us_per_delivery)
}

/// Not a number when the generator cannot stand for it.
fn p50(delivery: &report::Delivery) -> f64 {
    delivery.latency.map_or(f64::NAN, |latency| latency.p50_ms)
}

fn p90(delivery: &report::Delivery) -> f64 {
    delivery.latency.map_or(f64::NAN, |latency| latency.p90_ms)
}

/// Size and age tell one build from another.
fn describe(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str()).display();
    let Ok(metadata) = path.metadata() else { return name.to_string() };
    let age = metadata
        .modified()
        .ok()
        .and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok())
        .map_or(0, |since| clock::unix_seconds().saturating_sub(since.as_secs()));
    format!("{name}, {} bytes, built {} min ago", metadata.len(), age / 60)
}

impl Spread {
    fn of(rounds: &[Round], value: &dyn Fn(&Round) -> f64) -> Self {
        Self::of_values(rounds.iter().map(value).collect())
    }

    pub(super) fn of_values(mut values: Vec<f64>) -> Self {
        let rounds = values.len();
        values.retain(|value| value.is_finite());
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let middle = values.len() / 2;
        let median = if values.len().is_multiple_of(2) && !values.is_empty() {
            f64::midpoint(at(middle - 1), at(middle))
        } else {
            at(middle)
        };
        // Half the rounds without a value are no measurement.
        let median = if 2 * values.len() > rounds { median } else { f64::NAN };
        Self { median, lowest: at(0), highest: at(values.len().wrapping_sub(1)), rounds }
    }

    fn text(&self, unit: &str) -> String {
        if self.median.is_nan() {
            return "- (not measured)".to_owned();
        }
        format!("{:.3} {unit} ({:.3} to {:.3})", self.median, self.lowest, self.highest)
    }
}

impl Outcome {
    fn table(&self) -> Table {
        let rounds = self.gates.first().map_or(0, |gate| gate.spread.rounds);
        let early = if self.interrupted { ", interrupted" } else { "" };
        let mut table = Table::new(format!(
            "gates of {}, {rounds} rounds{early}: median (range)\n{}",
            self.gateway, self.machine
        ));
        for gate in &self.gates {
            let verdict = match (gate.pass, gate.goal) {
                (false, _) => "FAIL",
                (true, Some(goal)) if gate.spread.median <= goal => "pass, goal met",
                (true, _) => "pass",
            };
            let goal = gate.goal.map_or_else(String::new, |goal| format!(", goal {goal}"));
            table.row(
                &gate.name,
                format!("{verdict}: {}, gate {}{goal}", gate.spread.text(gate.unit), gate.limit),
            );
        }
        for figure in &self.figures {
            table.row(&figure.name, figure.spread.text(figure.unit));
        }
        for note in &self.notes {
            table.row("note", note.as_str());
        }
        table
    }
}
