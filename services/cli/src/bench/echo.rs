//! Echo: connections that send and get their own message back, alone or beside a fan-out on the
//! same server, which shows whether one busy channel makes everybody else wait.

use serde::Serialize;

use super::{
    args,
    endpoint::Role,
    engine::{Engine, Plan},
    report::{Conditions, Delivery, ServerCost, Table},
    stamp::Class,
};

#[derive(Debug, Clone, Serialize)]
pub(super) struct Outcome {
    mode: &'static str,
    connections: usize,
    rate: f64,
    payload_bytes: usize,
    pub(super) echo: Delivery,
    /// The fan-out that ran beside it.
    pub(super) fan_out: Option<Delivery>,
    beside_subscribers: usize,
    pub(super) conditions: Conditions,
    server: Option<ServerCost>,
}

pub(super) fn measure(engine: &mut Engine, params: &args::Echo) -> anyhow::Result<Outcome> {
    let mut plans = Vec::new();
    let mut opened = Vec::new();
    if let Some(beside) = params.beside_fanout {
        let subscribers = engine.open(Role::Subscriber, beside.subscribers)?;
        let publisher = engine.open(Role::Publisher, 1)?;
        plans.push(Plan {
            class: Class::FanOut,
            senders: publisher.clone(),
            receivers: (Role::Subscriber, beside.subscribers as u64),
            rate: beside.rate,
            burst: 1,
            payload: params.load.payload,
        });
        opened.extend([subscribers, publisher]);
    }
    let echoes = engine.open(Role::Echo, params.connections)?;
    plans.push(Plan {
        class: Class::Echo,
        senders: echoes.clone(),
        receivers: (Role::Echo, 1),
        rate: params.rate,
        burst: 1,
        payload: params.load.payload,
    });
    opened.push(echoes);
    engine.run(plans.clone(), params.load.warm_up, |_| Ok(()))?;
    let phase = engine.run(plans, params.load.duration, |_| Ok(()))?;
    let mut deliveries = phase.flows.iter().rev().map(|flow| Delivery::of(flow, &phase));
    let outcome = Outcome {
        mode: "echo",
        connections: params.connections,
        rate: params.rate,
        payload_bytes: params.load.payload,
        echo: deliveries.next().expect("the echo plan was pushed"),
        fan_out: deliveries.next(),
        beside_subscribers: params.beside_fanout.map_or(0, |beside| beside.subscribers),
        conditions: Conditions::of(&phase),
        server: ServerCost::of(&phase, engine.server())?,
    };
    opened.into_iter().for_each(|range| engine.close(range));
    Ok(outcome)
}

impl Outcome {
    pub(super) fn table(&self, authority: &str) -> Table {
        let Self { connections, rate, payload_bytes, .. } = self;
        let mut table = Table::new(format!(
            "echo on {authority}: {connections} connections, {rate} messages/s of {payload_bytes} B"
        ));
        self.echo.describe(&mut table, "echo");
        if let Some(fan_out) = &self.fan_out {
            fan_out.describe(&mut table, &format!("fan-out to {}", self.beside_subscribers));
        }
        ServerCost::describe(self.server.as_ref(), &mut table);
        self.conditions.describe(&mut table);
        table
    }
}
