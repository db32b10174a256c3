//! The floor: what one bare `send()` costs here and now. Sender and receiver are two processes, so
//! that a shared descriptor table adds nothing; no server can deliver for less.

use std::{
    io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    process::{Child, Command, ExitCode, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use mio::{Events, Interest, Poll, Token, net::TcpListener};
use serde::Serialize;
use socket2::SockRef;

use super::{
    affinity, args, clock, frame, interrupt::Interrupt, process::CpuTimes, progress::Progress,
    report::Table,
};

const LISTENER: Token = Token(usize::MAX);
/// A receiver whose sender has died without a word ends after this.
const ORPHANED: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Serialize)]
pub(super) struct Outcome {
    mode: &'static str,
    connections: usize,
    rate: f64,
    burst: u32,
    send_bytes: usize,
    sends: u64,
    pub(super) cpu_us_per_send: f64,
    pub(super) cpu_us_per_frame: f64,
    rounds_late: u64,
    seconds: f64,
    steal_percent: f64,
    interrupted: bool,
}

/// `cpu` is the sender's: the one that the server under test would have.
pub(super) fn measure(
    params: &args::Floor,
    cpu: Option<usize>,
    interrupt: &Interrupt,
) -> anyhow::Result<Outcome> {
    let receiver = Receiver::spawn(params.connections, params.receiver_cpu)?;
    affinity::pinned(cpu, || {
        let mut streams = (0..params.connections)
            .map(|_| receiver.connect())
            .collect::<anyhow::Result<Vec<_>>>()?;
        send(params, &mut streams, interrupt)
    })
}

/// The hidden other half: accepts `connections`, reads and forgets until all have ended.
pub(super) fn receive(connections: usize, cpu: Option<usize>) -> anyhow::Result<ExitCode> {
    if let Some(cpu) = cpu {
        affinity::pin(cpu)?;
    }
    let mut listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0).into()).context("listen")?;
    let mut poll = Poll::new().context("create the poll")?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE).context("listen")?;
    let port = listener.local_addr().context("read the port")?.port();
    writeln!(io::stdout(), "{port}").context("print the port")?;
    let mut events = Events::with_capacity(1024);
    let mut streams = Vec::with_capacity(connections);
    let mut buffer = vec![0; 64 * 1024];
    let (mut ended, mut last) = (0, clock::now());
    while ended < connections {
        poll.poll(&mut events, Some(Duration::from_secs(1))).context("poll")?;
        let now = clock::now();
        if events.is_empty() && now - last > clock::to_nanos(ORPHANED) {
            bail!("nothing arrived for 60 s");
        }
        for event in &events {
            last = now;
            if event.token() == LISTENER {
                accept(&listener, &poll, &mut streams)?;
            } else {
                ended += usize::from(drained(&mut streams[event.token().0], &mut buffer));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn send(
    params: &args::Floor,
    streams: &mut [TcpStream],
    interrupt: &Interrupt,
) -> anyhow::Result<Outcome> {
    let burst = params.burst.get();
    let bytes = vec![b'x'; frame::server_frame_bytes(params.load.payload) * burst as usize];
    // At the rate of turns that a fan-out with this burst would have.
    let interval = (f64::from(burst) * 1e9 / params.rate) as u64;
    let mut progress = Progress::new("floor");
    let mut rounds = |duration: Duration| -> anyhow::Result<(u64, u64)> {
        let starts_at = clock::now();
        let (mut count, mut late) = (0_u64, 0);
        while !interrupt.raised() {
            let due = starts_at + count * interval;
            if due >= starts_at + clock::to_nanos(duration) {
                break;
            }
            late += u64::from(clock::now() > due + 10_000_000);
            clock::pause_until(due);
            for stream in &mut *streams {
                stream.write_all(&bytes).context("send to the receiver")?;
            }
            count += 1;
            progress.show(clock::now(), || format!("{count} rounds"));
        }
        progress.clear();
        Ok((count, late))
    };
    rounds(params.load.warm_up)?;
    let (cpu, times, started) = (clock::own_cpu(), CpuTimes::read()?, clock::now());
    let (count, rounds_late) = rounds(params.load.duration)?;
    let cpu = clock::own_cpu() - cpu;
    let sends = count * params.connections as u64;
    let cpu_us_per_send = cpu as f64 / 1e3 / sends.max(1) as f64;
    Ok(Outcome {
        mode: "floor",
        connections: params.connections,
        rate: params.rate,
        burst,
        send_bytes: bytes.len(),
        sends,
        cpu_us_per_send,
        cpu_us_per_frame: cpu_us_per_send / f64::from(burst),
        rounds_late,
        seconds: (clock::now() - started) as f64 / 1e9,
        steal_percent: CpuTimes::read()?.steal_percent_since(times),
        interrupted: interrupt.raised(),
    })
}

/// The receiving process, ended when it goes out of scope.
struct Receiver {
    child: Child,
    port: u16,
}

impl Receiver {
    fn spawn(connections: usize, cpu: Option<usize>) -> anyhow::Result<Self> {
        let own = std::env::current_exe().context("find the path of this program")?;
        let mut command = Command::new(own);
        command.args(["bench", "floor-receiver", "--connections", &connections.to_string()]);
        if let Some(cpu) = cpu {
            command.args(["--cpu", &cpu.to_string()]);
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("start the receiver")?;
        let output = child.stdout.take().context("the receiver has no output")?;
        let mut receiver = Self { child, port: 0 };
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).context("read the receiver's port")?;
        receiver.port = line.trim().parse().context("the receiver named no port")?;
        Ok(receiver)
    }

    fn connect(&self) -> anyhow::Result<TcpStream> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))
            .context("connect to the receiver")?;
        stream.set_nodelay(true).context("set TCP_NODELAY")?;
        SockRef::from(&stream).set_linger(Some(Duration::ZERO)).context("set SO_LINGER")?;
        Ok(stream)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // It may have ended by itself, now that its connections have.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn accept(
    listener: &TcpListener,
    poll: &Poll,
    streams: &mut Vec<mio::net::TcpStream>,
) -> anyhow::Result<()> {
    loop {
        match listener.accept() {
            Ok((mut stream, _)) => {
                let token = Token(streams.len());
                poll.registry()
                    .register(&mut stream, token, Interest::READABLE)
                    .context("watch a connection")?;
                streams.push(stream);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error).context("accept"),
        }
    }
}

/// Whether the connection has ended.
fn drained(stream: &mut mio::net::TcpStream, buffer: &mut [u8]) -> bool {
    loop {
        match stream.read(buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return true,
        }
    }
}

impl Outcome {
    pub(super) fn table(&self) -> Table {
        let mut table = Table::new(format!(
            "floor: {} connections, {} B a send, {} rounds/s",
            self.connections,
            self.send_bytes,
            self.rate / f64::from(self.burst)
        ));
        table.row("CPU of one send()", format!("{:.2} us", self.cpu_us_per_send));
        table.row("CPU of one frame", format!("{:.2} us", self.cpu_us_per_frame));
        table.row("sends", self.sends);
        table.row("rounds late by > 10 ms", self.rounds_late);
        let early = if self.interrupted { " (interrupted)" } else { "" };
        table.row("measured for", format!("{:.1} s{early}", self.seconds));
        table.row("stolen by the hypervisor", format!("{:.1} %", self.steal_percent));
        table
    }
}
