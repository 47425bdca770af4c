//! Counters for Prometheus.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use rollcage_api::http::ErrorCode;
use rollcage_judge::Judgement;
use rollcage_types::Termination;

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
    pub(crate) fn new(admission: &Arc<Admission>) -> Self {
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
