//! The highest limits a request may ask for.

use std::fmt::Display;
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
        let counts = [
            ("processes", limits.processes, self.processes),
            ("open_files", limits.open_files, self.open_files),
        ];
        for (name, asked, most) in counts {
            if asked.is_some_and(|asked| asked > most) {
                return Err(above(at, name, most));
            }
        }
        Ok(())
    }

    fn check_time(&self, at: &str, name: &str, asked: Option<Duration>) -> Result<(), BodyError> {
        if asked.is_none_or(|asked| asked <= self.time) {
            return Ok(());
        }
        Err(above(at, name, format_duration(self.time)))
    }
}

fn check_size(at: &str, name: &str, asked: Option<ByteSize>, most: ByteSize) -> Result<(), BodyError> {
    if asked.is_none_or(|asked| asked <= most) {
        return Ok(());
    }
    Err(above(at, name, most))
}

fn above(at: &str, name: &str, most: impl Display) -> BodyError {
    BodyError::new(format!("{at}.{name}"), format!("this server gives no more than {most}"))
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
        assert_eq!(error, "`limits.cpu_time`: this server gives no more than 600s");
        let disk = Some(ByteSize::gib(5));
        let error = asked(LimitOverrides { disk, ..Default::default() }).unwrap_err();
        assert_eq!(error, "`limits.disk`: this server gives no more than 4GiB");
        let error = asked(LimitOverrides { processes: Some(1025), ..Default::default() }).unwrap_err();
        assert_eq!(error, "`limits.processes`: this server gives no more than 1024");
        let error = asked(LimitOverrides { open_files: Some(u32::MAX), ..Default::default() }).unwrap_err();
        assert_eq!(error, "`limits.open_files`: this server gives no more than 4096");
    }
}
