//! Fan-out: one publisher, many subscribers of its channel, one message or a burst at a time.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    args,
    endpoint::Role,
    engine::{Engine, Phase, Plan},
    report::{Conditions, Delivery, ServerCost, Table},
    stamp::Class,
};

#[derive(Debug, Clone, Serialize)]
pub(super) struct Outcome {
    pub(super) mode: &'static str,
    pub(super) connections: usize,
    pub(super) rate: f64,
    pub(super) burst: u32,
    pub(super) payload_bytes: usize,
    pub(super) delivery: Delivery,
    pub(super) conditions: Conditions,
    pub(super) server: Option<ServerCost>,
    pub(super) closes: BTreeMap<String, u64>,
}

pub(super) fn measure(
    engine: &mut Engine,
    params: &args::FanOut,
    burst: u32,
) -> anyhow::Result<Outcome> {
    let subscribers = engine.open(Role::Subscriber, params.connections)?;
    let publisher = engine.open(Role::Publisher, 1)?;
    let plan = plan(params, burst, publisher.start);
    engine.run(vec![plan.clone()], params.load.warm_up, |_| Ok(()))?;
    let phase = engine.run(vec![plan], params.load.duration, |_| Ok(()))?;
    let outcome = Outcome {
        mode: if burst > 1 { "burst" } else { "fan-out" },
        connections: params.connections,
        rate: params.rate,
        burst,
        payload_bytes: params.load.payload,
        delivery: delivery(&phase),
        conditions: Conditions::of(&phase),
        server: ServerCost::of(&phase, engine.server())?,
        closes: engine.closes(Role::Subscriber),
    };
    engine.close(subscribers);
    engine.close(publisher);
    Ok(outcome)
}

impl Outcome {
    pub(super) fn table(&self, authority: &str) -> Table {
        let Self { connections, rate, burst, payload_bytes, .. } = self;
        let mut table = Table::new(format!(
            "{} on {authority}: {connections} subscribers, {rate} messages/s of {payload_bytes} B, \
             {burst} at once",
            self.mode
        ));
        self.delivery.describe(&mut table, "messages");
        ServerCost::describe(self.server.as_ref(), &mut table);
        table.closes("subscribers closed by the server", &self.closes);
        self.conditions.describe(&mut table);
        table
    }
}

/// What `publisher` sends to the subscribers that `params` asks for.
pub(super) fn plan(params: &args::FanOut, burst: u32, publisher: usize) -> Plan {
    Plan {
        class: Class::FanOut,
        senders: publisher..publisher + 1,
        receivers: (Role::Subscriber, params.connections as u64),
        rate: params.rate,
        burst,
        payload: params.load.payload,
    }
}

/// The outcome of the one flow of `phase`.
pub(super) fn delivery(phase: &Phase) -> Delivery {
    Delivery::of(&phase.flows[0], phase)
}
