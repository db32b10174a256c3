//! The poll loop: one thread, one shared read buffer, connections that are a descriptor and a few
//! bytes each. It opens connections, runs open-loop loads over them and closes them again.

mod connection;
mod load;
mod opening;

use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write as _},
    net::SocketAddr,
    ops::Range,
    time::Duration,
};

use anyhow::{Context as _, bail};
use mio::{Events, Poll, Token, event::Event};

use self::connection::{Connection, State};
pub(super) use self::load::{Flow, Plan, Tally, withheld};
#[cfg(test)]
pub(super) use self::opening::connect;
use super::{
    args::Via,
    clock::{self, Alarm, NANOS_PER_SECOND},
    endpoint::{Endpoint, Role},
    interrupt::Interrupt,
    process::{CpuTimes, Process},
    progress::Progress,
};

const READ_BUFFER_BYTES: usize = 64 * 1024;
const EVENTS_MAX: usize = 1024;
const ALARM: Token = Token(usize::MAX);
/// How long a poll may sleep, and so how late an interrupt is noticed.
const TICK: Duration = Duration::from_millis(100);
/// After the last message is sent: this long without an arrival, and the rest is lost.
const DRAIN_QUIET: u64 = 2 * NANOS_PER_SECOND;
const DRAIN_MAX: u64 = 20 * NANOS_PER_SECOND;
/// A server that reads its publisher this slowly is not being measured any more.
const UNSENT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Turns that are sent before reads get their chance, when many are due.
const TURNS_IN_A_ROW: usize = 64;

#[derive(Debug)]
pub(super) struct Engine {
    endpoint: Endpoint,
    interrupt: Interrupt,
    progress: Progress,
    server: Option<Process>,
    poll: Poll,
    alarm: Alarm,
    events: Option<Events>,
    buffer: Vec<u8>,
    connections: Vec<Connection>,
    /// What a socket has not taken yet, by connection; almost always empty.
    unsent: BTreeMap<usize, Vec<u8>>,
    flows: Vec<Flow>,
    /// The next sequence of each class.
    sequences: BTreeMap<u8, u64>,
    joined: usize,
    opened: usize,
    now: u64,
    /// The first thing that makes the measurement pointless.
    failure: Option<String>,
    /// How connections ended that we did not close, by role: a code, or what the socket said.
    closes: BTreeMap<(Role, String), u64>,
}

/// A load that has run its course.
#[derive(Debug)]
pub(super) struct Phase {
    pub(super) flows: Vec<Flow>,
    /// Share of one core while messages were being sent.
    pub(super) generator_cpu_percent: f64,
    pub(super) steal_percent: f64,
    /// Nanoseconds, from the first message due to the last one received.
    pub(super) server_cpu: Option<u64>,
    pub(super) seconds: f64,
    pub(super) interrupted: bool,
}

impl Engine {
    pub(super) fn try_new(
        endpoint: Endpoint,
        server: Option<Process>,
        interrupt: Interrupt,
        progress: Progress,
    ) -> anyhow::Result<Self> {
        let poll = Poll::new().context("create the poll")?;
        let alarm = Alarm::try_new(poll.registry(), ALARM).context("create the alarm")?;
        Ok(Self {
            endpoint,
            interrupt,
            progress,
            server,
            poll,
            alarm,
            events: Some(Events::with_capacity(EVENTS_MAX)),
            buffer: vec![0; READ_BUFFER_BYTES],
            connections: Vec::new(),
            unsent: BTreeMap::new(),
            flows: Vec::new(),
            sequences: BTreeMap::new(),
            joined: 0,
            opened: 0,
            now: clock::now(),
            failure: None,
            closes: BTreeMap::new(),
        })
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(super) fn set_echo_via(&mut self, via: Via) {
        self.endpoint.via = via;
    }

    pub(super) fn server(&self) -> Option<Process> {
        self.server
    }

    pub(super) fn interrupted(&self) -> bool {
        self.interrupt.raised()
    }

    /// How connections of `role` were ended by the server so far.
    pub(super) fn closes(&self, role: Role) -> BTreeMap<String, u64> {
        self.closes
            .iter()
            .filter(|((of, _), _)| *of == role)
            .map(|((_, how), count)| (how.clone(), *count))
            .collect()
    }

    /// Runs `plans` for `duration` and waits for what is still under way. `tick` is called about
    /// every 100 ms.
    pub(super) fn run(
        &mut self,
        plans: Vec<Plan>,
        duration: Duration,
        mut tick: impl FnMut(&mut Self) -> anyhow::Result<()>,
    ) -> anyhow::Result<Phase> {
        let starts_at = clock::now() + NANOS_PER_SECOND / 50;
        let ends_at = starts_at + clock::to_nanos(duration);
        self.flows = plans
            .into_iter()
            .map(|plan| {
                let first = *self.sequences.entry(plan.class as u8).or_insert(1);
                Flow::new(plan, first, starts_at, ends_at)
            })
            .collect();
        let server_before = self.server.map(Process::cpu).transpose()?;
        let (generator_before, times_before) = (clock::own_cpu(), CpuTimes::read()?);
        let mut next_tick = starts_at;
        while self.now < ends_at && !self.interrupt.raised() {
            self.turn(ends_at.min(next_tick.max(self.now + 1)))?;
            self.check()?;
            if self.now >= next_tick {
                tick(self)?;
                self.report(starts_at, duration);
                next_tick = self.now + clock::to_nanos(TICK);
            }
        }
        let sending = clock::now().saturating_sub(starts_at).max(1);
        let generator_cpu = clock::own_cpu() - generator_before;
        let steal_percent = CpuTimes::read()?.steal_percent_since(times_before);
        self.flows.iter_mut().for_each(Flow::stop);
        self.drain(&mut tick)?;
        let server_cpu = match (self.server, server_before) {
            (Some(server), Some(before)) => Some(server.cpu()?.saturating_sub(before)),
            _ => None,
        };
        self.progress.clear();
        let flows = std::mem::take(&mut self.flows);
        for flow in &flows {
            self.sequences.insert(flow.class() as u8, flow.next_sequence());
        }
        Ok(Phase {
            flows,
            generator_cpu_percent: 100.0 * generator_cpu as f64 / sending as f64,
            steal_percent,
            server_cpu,
            seconds: sending as f64 / 1e9,
            interrupted: self.interrupt.raised(),
        })
    }

    /// Sends one message by each plan, without timing, and waits until it has arrived everywhere.
    pub(super) fn run_once(&mut self, plan: Plan) -> anyhow::Result<Phase> {
        // One message a second for a thousandth of a second is one message.
        let once = Plan { rate: 1.0, burst: 1, ..plan };
        self.run(vec![once], Duration::from_millis(1), |_| Ok(()))
    }

    /// Serves what arrives, heartbeats above all, for `duration`.
    pub(super) fn idle(&mut self, duration: Duration) -> anyhow::Result<()> {
        let until = clock::now() + clock::to_nanos(duration);
        while self.now < until && !self.interrupt.raised() {
            self.turn(until)?;
            self.check()?;
        }
        Ok(())
    }

    fn drain(
        &mut self,
        tick: &mut impl FnMut(&mut Self) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let started = clock::now();
        loop {
            let last = self.flows.iter().map(|flow| flow.tally.last_received_at).max();
            let quiet_since = last.unwrap_or(0).max(started);
            let complete = self.flows.iter().all(|flow| flow.tally.received >= flow.expected());
            let now = self.now.max(started);
            if complete || now - quiet_since > DRAIN_QUIET || now - started > DRAIN_MAX {
                return Ok(());
            }
            self.turn(self.now + clock::to_nanos(TICK))?;
            tick(self)?;
        }
    }

    fn report(&mut self, starts_at: u64, duration: Duration) {
        let (flows, now) = (&self.flows, self.now);
        self.progress.show(now, || {
            let seconds = now.saturating_sub(starts_at) as f64 / 1e9;
            let sent: u64 = flows.iter().map(|flow| flow.tally.sent).sum();
            let received: u64 = flows.iter().map(|flow| flow.tally.received).sum();
            let of = duration.as_secs_f64();
            format!("{seconds:.1} of {of:.0} s, {sent} sent, {received} delivered")
        });
    }

    fn check(&mut self) -> anyhow::Result<()> {
        match self.failure.take() {
            Some(failure) => {
                self.progress.clear();
                bail!("{}: {failure}", self.endpoint.authority)
            }
            None => Ok(()),
        }
    }

    /// One poll and everything it brings; wakes up for the next message due, or at `until`.
    fn turn(&mut self, until: u64) -> anyhow::Result<()> {
        let mut events = self.events.take().context("the loop was entered twice")?;
        let result = self.turn_with(&mut events, until);
        self.events = Some(events);
        result
    }

    fn turn_with(&mut self, events: &mut Events, until: u64) -> anyhow::Result<()> {
        self.alarm.set(self.next_due().min(until)).context("set the alarm")?;
        match self.poll.poll(events, Some(TICK)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => events.clear(),
            other => other.context("poll")?,
        }
        self.now = clock::now();
        self.send_due()?;
        for event in &*events {
            if event.token() != ALARM {
                self.on_event(event.token().0, event)?;
                if self.next_due() <= self.now {
                    self.send_due()?;
                }
            }
        }
        Ok(())
    }

    fn next_due(&self) -> u64 {
        self.flows.iter().map(Flow::due).min().unwrap_or(u64::MAX)
    }

    fn send_due(&mut self) -> anyhow::Result<()> {
        for _ in 0..TURNS_IN_A_ROW {
            let Some(flow) = self.flows.iter_mut().find(|flow| flow.due() <= self.now) else {
                break;
            };
            let turn = flow.take_turn(self.now);
            let bytes = self.endpoint.publication(&turn.payloads);
            self.send(turn.sender, &bytes)?;
            self.now = clock::now();
        }
        Ok(())
    }

    /// Writes to a connection, keeping what its socket does not take. To one that has ended it
    /// does nothing: its messages count as lost.
    fn send(&mut self, index: usize, bytes: &[u8]) -> anyhow::Result<()> {
        let Some(stream) = &mut self.connections[index].stream else { return Ok(()) };
        let waiting = self.unsent.get(&index).map_or(0, Vec::len);
        let written = if waiting > 0 { 0 } else { write(stream, bytes) };
        if written < bytes.len() {
            if waiting + bytes.len() > UNSENT_BYTES_MAX {
                bail!("the server does not read what is published: lower --rate or --payload");
            }
            self.unsent.entry(index).or_default().extend_from_slice(&bytes[written..]);
        }
        Ok(())
    }

    fn flush(&mut self, index: usize) {
        let Some(stream) = &mut self.connections[index].stream else { return };
        if let Some(bytes) = self.unsent.get_mut(&index) {
            let written = write(stream, bytes);
            bytes.drain(..written);
            if bytes.is_empty() {
                self.unsent.remove(&index);
            }
        }
    }

    fn on_event(&mut self, index: usize, event: &Event) -> anyhow::Result<()> {
        if self.connections[index].state == State::Connecting
            && (event.is_writable() || event.is_error())
        {
            self.connected(index)?;
        }
        if event.is_writable() && !self.unsent.is_empty() {
            self.flush(index);
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.read(index, event.is_read_closed())?;
        }
        Ok(())
    }

    /// Reads until the socket is empty: the poll is edge triggered.
    fn read(&mut self, index: usize, closing: bool) -> anyhow::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = loop {
            let Some(stream) = &mut self.connections[index].stream else { break Ok(()) };
            match stream.read(&mut buffer) {
                Ok(0) => break self.ended(index, "closed without a close frame"),
                Ok(count) => {
                    self.now = clock::now();
                    if let Err(error) = self.consume(index, &buffer[..count]) {
                        break Err(error);
                    }
                    // A short read emptied the socket; asking again would be half the cost of a
                    // delivery. Only an end that was announced is still to be fetched.
                    if count < buffer.len() && !closing {
                        break Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    break self.ended(index, "reset");
                }
                Err(error) => break self.ended(index, &error.to_string()),
            }
        };
        self.buffer = buffer;
        result
    }

    /// The server has ended a connection.
    fn ended(&mut self, index: usize, how: &str) -> anyhow::Result<()> {
        let connection = &mut self.connections[index];
        let (role, state) = (connection.role, connection.state);
        connection.end(self.poll.registry());
        self.unsent.remove(&index);
        match state {
            State::Connecting | State::Upgrading | State::Joining => {
                self.fail(format!("connection {index} was {how} before it was ready"));
            }
            // Some servers end the HTTP connection after every answer.
            State::Http => {
                *self.closes.entry((role, how.to_owned())).or_default() += 1;
                self.reconnect(index)?;
            }
            State::Ready => *self.closes.entry((role, how.to_owned())).or_default() += 1,
            State::Ended => {}
        }
        if role == Role::Publisher && state == State::Ready {
            self.fail(format!("the publisher was ended by the server: {how}"));
        }
        Ok(())
    }

    fn fail(&mut self, failure: String) {
        self.failure.get_or_insert(failure);
    }

    /// Reads at most `bytes` from each connection of `range` that has not ended: a reader that is
    /// slower than its feed.
    pub(super) fn sip(&mut self, range: Range<usize>, bytes: usize) -> anyhow::Result<()> {
        for index in range {
            let Some(stream) = &mut self.connections[index].stream else { continue };
            let mut sip = vec![0; bytes];
            match stream.read(&mut sip) {
                Ok(0) => self.ended(index, "closed without a close frame")?,
                Ok(count) => self.consume(index, &sip[..count])?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    self.ended(index, "reset")?;
                }
                Err(error) => self.ended(index, &error.to_string())?,
            }
        }
        Ok(())
    }

    /// Stops being told about these connections, so that nothing reads them.
    pub(super) fn stop_reading(&mut self, range: Range<usize>) -> anyhow::Result<()> {
        for connection in &mut self.connections[range] {
            if let Some(stream) = &mut connection.stream {
                self.poll.registry().deregister(stream).context("stop reading")?;
            }
        }
        Ok(())
    }

    /// Local and remote address of the connections of `range`.
    pub(super) fn ends(&self, range: Range<usize>) -> Vec<(SocketAddr, SocketAddr)> {
        self.connections[range]
            .iter()
            .filter_map(|connection| connection.stream.as_ref()?.local_addr().ok())
            .map(|local| (local, self.endpoint.address))
            .collect()
    }

    /// Connections of `range` that the server has not ended.
    pub(super) fn alive(&self, range: Range<usize>) -> usize {
        self.connections[range].iter().filter(|connection| connection.stream.is_some()).count()
    }

    /// Ends connections with a reset, which leaves no TIME_WAIT that would use up local ports.
    pub(super) fn close(&mut self, range: Range<usize>) {
        for index in range {
            self.connections[index].end(self.poll.registry());
            self.unsent.remove(&index);
        }
    }
}

/// Bytes that the socket took; an error shows up at the next read.
fn write(stream: &mut mio::net::TcpStream, bytes: &[u8]) -> usize {
    let mut written = 0;
    while written < bytes.len() {
        match stream.write(&bytes[written..]) {
            Ok(0) => break,
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    written
}
