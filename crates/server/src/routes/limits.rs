//! The highest limits a request may ask for.

use std::time::Duration;

use rollcage_api::http::BodyError;
use rollcage_types::{ByteSize, LimitOverrides, format_duration};

use crate::config::LimitMaxima;

impl LimitMaxima {
    /// Refuses what lies above them, by its name below `at`.
    pub(crate) fn check(&self, at: &str, limits: &LimitOverrides) -> Result<(), BodyError> {
        let times =
            [("cpu_time", limits.cpu_time), ("wall_time", limits.wall_time), ("idle_time", limits.idle_time)];
        for (name, asked) in times {
            self.check_time(at, name, asked)?;
        }
        let sizes = [
            ("memory", limits.memory, self.memory),
            ("disk", limits.disk, self.memory),
            ("file_size", limits.file_size, self.memory),
            ("stack", limits.stack, self.memory),
            ("output", limits.output, self.output),
        ];
        for (name, asked, max) in sizes {
            check_size(at, name, asked, max)?;
        }
        Ok(())
    }

    fn check_time(&self, at: &str, name: &str, asked: Option<Duration>) -> Result<(), BodyError> {
        if asked.is_none_or(|asked| asked <= self.time) {
            return Ok(());
        }
        let most = format_duration(self.time);
        Err(BodyError::new(format!("{at}.{name}"), format!("this server gives no more than {most}")))
    }
}

fn check_size(at: &str, name: &str, asked: Option<ByteSize>, most: ByteSize) -> Result<(), BodyError> {
    if asked.is_none_or(|asked| asked <= most) {
        return Ok(());
    }
    Err(BodyError::new(format!("{at}.{name}"), format!("this server gives no more than {most}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_above_is_named() {
        let maxima = LimitMaxima::default();
        let asked = |limits| maxima.check("limits", &limits).map_err(|error| error.to_string());
        assert_eq!(asked(LimitOverrides::default()), Ok(()));
        let cpu_time = Some(maxima.time + Duration::from_secs(1));
        let error = asked(LimitOverrides { cpu_time, ..Default::default() }).unwrap_err();
        assert_eq!(error, "`limits.cpu_time`: this server gives no more than 10m");
        let disk = Some(ByteSize::gib(5));
        let error = asked(LimitOverrides { disk, ..Default::default() }).unwrap_err();
        assert_eq!(error, "`limits.disk`: this server gives no more than 4GiB");
    }
}
