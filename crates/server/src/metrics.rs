//! Counters for Prometheus.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use rollcage_api::http::ErrorCode;
use rollcage_engine::drive::Engine;
use rollcage_judge::Judgement;
use rollcage_types::Termination;
use rollcage_warm::ColdReason;

use crate::admission::Admission;

/// From half a millisecond to 65 seconds: a fast program, and one at its wall limit.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0005, 2.0, 18))
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Code {
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    termination: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Judged {
    result: &'static str,
}

/// Every counter.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Answered, Counter>,
    request_seconds: Family<Route, Histogram>,
    refusals: Family<Code, Counter>,
    queue_seconds: Histogram,
    runs: Family<Ended, Counter>,
    judgements: Family<Judged, Counter>,
}

impl Metrics {
    pub(crate) fn new(admission: &Arc<Admission>, engine: &Engine) -> Self {
        let mut registry = Registry::with_prefix("rollcage");
        let metrics = Self {
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(seconds as fn() -> Histogram),
            refusals: Family::default(),
            queue_seconds: seconds(),
            runs: Family::default(),
            judgements: Family::default(),
            registry: Registry::default(),
        };
        let Self { requests, request_seconds, refusals, queue_seconds, runs, judgements, .. } = &metrics;
        registry.register("http_requests", "Requests answered", requests.clone());
        registry.register("http_request_seconds", "Time to the head of the answer", request_seconds.clone());
        registry.register("refusals", "Requests refused", refusals.clone());
        registry.register("queue_seconds", "Time waited for a turn", queue_seconds.clone());
        registry.register("runs", "Programs run without being judged, by how they ended", runs.clone());
        registry.register(
            "judgements",
            "Solutions judged, by verdict, or by whom to blame",
            judgements.clone(),
        );
        registry.register_collector(Box::new(Turns(Arc::clone(admission))));
        registry.register_collector(Box::new(WarmStarts(engine.clone())));
        Self { registry, ..metrics }
    }

    pub(crate) fn answered(&self, route: &str, status: u16, took: Duration) {
        let label = Answered { route: route.to_owned(), status };
        self.requests.get_or_create(&label).inc();
        let route = Route { route: route.to_owned() };
        self.request_seconds.get_or_create(&route).observe(took.as_secs_f64());
    }

    pub(crate) fn refused(&self, code: ErrorCode) {
        self.refusals.get_or_create(&Code { code: code.as_str() }).inc();
    }

    pub(crate) fn waited(&self, time: Duration) {
        self.queue_seconds.observe(time.as_secs_f64());
    }

    pub(crate) fn ran(&self, termination: Termination) {
        let termination = match termination {
            Termination::Exited { code: 0 } => "exited_0",
            Termination::Exited { .. } => "exited",
            Termination::Signaled { .. } => "signaled",
            Termination::LimitExceeded(kind) => kind.as_str(),
            Termination::Cancelled => "cancelled",
        };
        self.runs.get_or_create(&Ended { termination }).inc();
    }

    pub(crate) fn judged(&self, judgement: &Judgement) {
        let result = match judgement {
            Judgement::Scored(scored) => scored.verdict.as_str(),
            Judgement::Unscorable(unscorable) => match unscorable.blame {
                rollcage_judge::Blame::Problem => "unscorable_problem",
                rollcage_judge::Blame::Infrastructure => "unscorable_infrastructure",
            },
        };
        self.judgements.get_or_create(&Judged { result }).inc();
    }

    /// The text that Prometheus reads.
    pub(crate) fn encode(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)
            .expect("writing to a string does not fail");
        text
    }
}

/// What is known without counting.
#[derive(Debug)]
struct Turns(Arc<Admission>);

impl Collector for Turns {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for (name, help, value) in [
            ("turns", "Requests in work at once at most", self.0.turns()),
            ("running", "Requests in work", self.0.running()),
            ("queued", "Requests that wait for their turn", self.0.queued()),
        ] {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Event {
    event: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Interpreter {
    language: String,
    preload: String,
}

/// How programs of languages with warm starts began, and the interpreters that wait.
#[derive(Debug)]
struct WarmStarts(Engine);

impl Collector for WarmStarts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let hosts = self.0.warm_starts();
        let sum = |one: &dyn Fn(&rollcage_warm::Counts) -> u64| {
            hosts.iter().map(|(counts, _)| one(counts)).sum::<u64>()
        };
        ConstCounter::new(sum(&|counts| counts.forks)).encode(encoder.encode_descriptor(
            "warm_starts",
            "Programs that were copies of an interpreter that waited",
            None,
            MetricType::Counter,
        )?)?;
        ConstCounter::new(sum(&|counts| counts.spares)).encode(encoder.encode_descriptor(
            "spare_starts",
            "Programs that had been executed ahead",
            None,
            MetricType::Counter,
        )?)?;
        let help = "Programs started cold in languages with warm starts, by reason";
        let mut cold = encoder.encode_descriptor("cold_starts", help, None, MetricType::Counter)?;
        for reason in ColdReason::ALL {
            let label = Reason { reason: reason.as_str() };
            ConstCounter::new(sum(&|counts| counts.cold_for(reason))).encode(cold.encode_family(&label)?)?;
        }
        let help = "What became of interpreters that wait";
        let mut events = encoder.encode_descriptor("interpreter_events", help, None, MetricType::Counter)?;
        for (event, count) in [
            ("started", sum(&|counts| counts.started)),
            ("renewed", sum(&|counts| counts.renewed)),
            ("outdated", sum(&|counts| counts.outdated)),
            ("died", sum(&|counts| counts.died)),
        ] {
            ConstCounter::new(count).encode(events.encode_family(&Event { event })?)?;
        }
        let help = "Memory of interpreters that wait";
        let mut memory =
            encoder.encode_descriptor("interpreter_memory_bytes", help, None, MetricType::Gauge)?;
        // Two of one kind, started with different variables, count as one.
        let mut kept: BTreeMap<(String, String), u64> = BTreeMap::new();
        for interpreter in hosts.into_iter().flat_map(|(_, kept)| kept) {
            let kind = (interpreter.language, interpreter.preload.unwrap_or_default());
            *kept.entry(kind).or_default() += interpreter.memory.unwrap_or_default().as_u64();
        }
        for ((language, preload), bytes) in kept {
            let gauge = ConstGauge::new(i64::try_from(bytes).unwrap_or(i64::MAX));
            gauge.encode(memory.encode_family(&Interpreter { language, preload })?)?;
        }
        Ok(())
    }
}
