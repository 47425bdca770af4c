//! Run files: what is read keeps its promises, and what is refused says where.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rollcage_api::RunConfig;

fuzz_target!(|text: &str| match RunConfig::parse("fuzzed.yaml", text) {
    Ok(config) => {
        assert_eq!(config.policy.urls.is_empty(), config.policy.recorded.is_some());
        assert!(config.policy.urls.is_empty() || config.policy.model.is_some());
        assert!(config.reward.parts.outcome.is_finite() && config.reward.parts.format.is_finite());
    }
    Err(error) => {
        let shown = error.to_string();
        assert!(shown.starts_with("fuzzed.yaml"), "{shown}");
    }
});
