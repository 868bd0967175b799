//! Reads a system file.
//!
//! As in the simulator unknown keys are ignored, but they are reported; a value of the wrong kind is an error.

use astra_engine::{
    Algorithm, CollectiveOptimization, Dialect, GbPerSec, Nanos, RemoteMemory, SharedBus, System, Tflops,
};
use astra_policy::Collective;
use serde_json::{Map, Value as Json};

use super::custom_files::CustomFiles;
use super::system_keys::{MAX_INTEGER, SCHEDULING_POLICIES, algorithm_key, bus_time, key_names};
use crate::algorithm;
use crate::error::closest;
use crate::{Error, Notice, Result};

/// What a system file says.
#[derive(Clone, Debug, PartialEq)]
pub struct SystemFile {
    /// Delay before every message step, when the file gives one.
    pub endpoint_delay: Option<Nanos>,
    /// Number of chunks of a collective; 0 when the file does not say, which no collective can run with.
    pub preferred_dataset_splits: u32,
    /// Chunks active at once per dimension.
    pub active_chunks_per_dimension: u32,
    /// How all-reduces over several dimensions are decomposed.
    pub collective_optimization: CollectiveOptimization,
    /// Bandwidth of local memory.
    pub local_mem_bw: GbPerSec,
    /// Peak compute throughput.
    pub peak_perf: Tflops,
    /// Whether computation follows the roofline model.
    pub roofline_enabled: bool,
    /// Whether every node takes its recorded duration.
    pub replay_only: bool,
    /// Algorithm names per collective, in the order of [`Collective::ALL`].
    pub algorithms: [Vec<String>; 4],
    /// The bus that collectives share with memory, when `model-shared-bus` is 1.
    pub shared_bus: Option<SharedBus>,
    /// Collectives that traces carry out instead of algorithms.
    pub custom: CustomFiles,
}

/// The simulator's command-line options that act on the system layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SystemOptions {
    /// Queues per dimension that share the active chunks, ≥ 1.
    pub queues_per_dimension: u32,
    /// Factor on the endpoint delay that a file gives.
    pub injection_scale: f64,
    /// Whether messages are preceded by a handshake.
    pub rendezvous: bool,
}

impl Default for SystemOptions {
    fn default() -> Self {
        Self { queues_per_dimension: 1, injection_scale: 1.0, rendezvous: false }
    }
}

impl SystemFile {
    /// Reads the text of a system file; `file` names it in errors. The notices are keys without effect.
    ///
    /// # Errors
    ///
    /// Text that is no JSON object, or a value of the wrong kind, with its key.
    pub fn parse(bytes: &[u8], file: &str) -> Result<(Self, Vec<Notice>)> {
        let keys = super::json_object(bytes, file, "the settings of a simulated system")?;
        let read = read(&Keys(&keys)).map_err(|error| error.in_file(file))?;
        Ok((read, notices(&keys)))
    }

    /// The algorithm names of a collective.
    pub fn algorithms(&self, collective: Collective) -> &[String] {
        let [all_reduce, all_gather, reduce_scatter, all_to_all] = &self.algorithms;
        match collective {
            Collective::AllReduce => all_reduce,
            Collective::AllGather => all_gather,
            Collective::ReduceScatter => reduce_scatter,
            Collective::AllToAll => all_to_all,
        }
    }

    /// The system as the engine takes it, without the custom collectives: [`Self::custom`] says which files they
    /// are in.
    ///
    /// # Errors
    ///
    /// An algorithm or a custom collective that the dialect does not have, or a scale that leaves no delay to charge.
    pub fn system(&self, dialect: Dialect, options: &SystemOptions, memory: RemoteMemory) -> Result<System> {
        let [all_reduce, all_gather, reduce_scatter, all_to_all] = Collective::ALL.map(|collective| {
            let names = self.algorithms(collective).iter();
            let algorithms = names.map(|name| of_dialect(name, dialect)).collect::<Result<Vec<_>>>();
            algorithms.map_err(|error| error.key(algorithm_key(collective)))
        });
        self.custom.check(dialect)?;
        let defaults = System::default();
        Ok(System {
            dialect,
            collective_optimization: self.collective_optimization,
            endpoint_delay: match self.endpoint_delay {
                Some(delay) => scaled(delay, options.injection_scale)?,
                None => defaults.endpoint_delay,
            },
            preferred_dataset_splits: self.preferred_dataset_splits,
            active_chunks_per_dimension: self.active_chunks_per_dimension,
            queues_per_dimension: options.queues_per_dimension,
            local_mem_bw: self.local_mem_bw,
            peak_perf: self.peak_perf,
            roofline_enabled: self.roofline_enabled,
            replay_only: self.replay_only,
            rendezvous: options.rendezvous,
            shared_bus: self.shared_bus,
            remote_memory: memory,
            all_reduce: all_reduce?,
            all_gather: all_gather?,
            reduce_scatter: reduce_scatter?,
            all_to_all: all_to_all?,
            custom: defaults.custom,
        })
    }
}

fn of_dialect(name: &str, dialect: Dialect) -> Result<Algorithm> {
    let known = algorithm::parse(name)?;
    algorithm::exists(known, dialect).map_err(|lacks| {
        let error = Error::input(format!("algorithm `{name}` {lacks}"));
        error.hint(format!(
            "{}, or choose another algorithm, for example ring or direct",
            other_dialect(dialect)
        ))
    })?;
    Ok(known)
}

/// How to ask for the dialect that is not this one.
pub(super) fn other_dialect(dialect: Dialect) -> String {
    format!("set --dialect {} (in a recipe `engine.dialect`)", dialect.other())
}

/// The delay times the scale, in whole nanoseconds.
fn scaled(delay: Nanos, scale: f64) -> Result<Nanos> {
    let scaled = (delay.0 as f64 * scale).trunc();
    if (0.0..=f64::from(i32::MAX)).contains(&scaled) {
        return Ok(Nanos(scaled as u64));
    }
    let message =
        format!("{} ns times an injection scale of {scale} is no delay from 0 to 2^31 - 1 ns", delay.0);
    Err(Error::input(message).key("endpoint-delay"))
}

fn read(keys: &Keys<'_>) -> Result<SystemFile> {
    keys.word("scheduling-policy", SCHEDULING_POLICIES)?;
    let optimization = keys.word("collective-optimization", CollectiveOptimization::NAMES)?;
    let [all_reduce, all_gather, reduce_scatter, all_to_all] =
        Collective::ALL.map(|collective| keys.algorithms(collective));
    Ok(SystemFile {
        endpoint_delay: keys.integer("endpoint-delay")?.map(|delay| Nanos(delay.into())),
        preferred_dataset_splits: keys.integer("preferred-dataset-splits")?.unwrap_or(0),
        active_chunks_per_dimension: keys.integer("active-chunks-per-dimension")?.unwrap_or(1),
        collective_optimization: match optimization {
            Some("localBWAware") => CollectiveOptimization::LocalBwAware,
            _ => CollectiveOptimization::Baseline,
        },
        local_mem_bw: GbPerSec(keys.number("local-mem-bw")?.unwrap_or(0.0)),
        peak_perf: Tflops(keys.number("peak-perf")?.unwrap_or(0.0)),
        roofline_enabled: keys.switch("roofline-enabled"),
        replay_only: keys.switch("replay-only"),
        algorithms: [all_reduce?, all_gather?, reduce_scatter?, all_to_all?],
        shared_bus: shared_bus(keys)?,
        custom: CustomFiles::of_keys(keys.0)?,
    })
}

/// The parameters of the shared bus, if it is on: only exactly 1 is. The gap per byte keeps what is left of it in a
/// float of 32 bits.
fn shared_bus(keys: &Keys<'_>) -> Result<Option<SharedBus>> {
    let number = |key| -> Result<f64> { Ok(keys.number(key)?.unwrap_or(0.0)) };
    let nanos = |key| {
        let value = number(key)?;
        let wrong = || Error::input(format!("expected nanoseconds below 2^31, found {value}")).key(key);
        bus_time(value).map(Nanos).ok_or_else(wrong)
    };
    let bus = SharedBus {
        latency: nanos("L")?,
        overhead: nanos("o")?,
        gap: nanos("g")?,
        gap_per_byte_ns: f64::from(number("G")? as f32),
        local_reduction_delay: Nanos(keys.integer("local-reduction-delay")?.unwrap_or(1).into()),
    };
    Ok((keys.integer("model-shared-bus")? == Some(1)).then_some(bus))
}

fn notices(keys: &Map<String, Json>) -> Vec<Notice> {
    let unknown = keys.keys().filter(|key| !key_names().any(|name| name == key.as_str()));
    unknown
        .map(|key| match closest(key, key_names()) {
            Some(near) => Notice::new(key, format!("unknown key, ignored; did you mean `{near}`?")),
            None => Notice::new(key, "unknown key, ignored"),
        })
        .collect()
}

/// Typed access to the keys of the file.
struct Keys<'a>(&'a Map<String, Json>);

impl Keys<'_> {
    fn wrong<T>(&self, key: &str, expected: &str, found: &Json) -> Result<T> {
        Err(Error::input(format!("expected {expected}, found {found}")).key(key))
    }

    /// An integer; a fraction is cut off, as in the simulator.
    fn integer(&self, key: &str) -> Result<Option<u32>> {
        let Some(value) = self.0.get(key) else { return Ok(None) };
        match value.as_f64().map(f64::trunc) {
            Some(number) if (0.0..=MAX_INTEGER.into()).contains(&number) => Ok(Some(number as u32)),
            _ => self.wrong(key, &format!("an integer from 0 to {MAX_INTEGER}"), value),
        }
    }

    fn number(&self, key: &str) -> Result<Option<f64>> {
        let Some(value) = self.0.get(key) else { return Ok(None) };
        match value.as_f64() {
            Some(number) if number >= 0.0 => Ok(Some(number)),
            _ => self.wrong(key, "a number ≥ 0", value),
        }
    }

    /// On for every value that is not the number 0, also for `false`: that is how the simulator compares.
    fn switch(&self, key: &str) -> bool {
        self.0.get(key).is_some_and(|value| value.as_f64() != Some(0.0))
    }

    fn word<'k>(&'k self, key: &str, words: &[&str]) -> Result<Option<&'k str>> {
        let Some(value) = self.0.get(key) else { return Ok(None) };
        match value.as_str() {
            Some(word) if words.contains(&word) => Ok(Some(word)),
            Some(word) => {
                let error = Error::input(format!("unknown value `{word}`")).key(key);
                Err(error.suggest(word, words.iter().copied()).hint(format!("one of {}", words.join(", "))))
            }
            None => self.wrong(key, &format!("one of {}", words.join(", ")), value),
        }
    }

    fn algorithms(&self, collective: Collective) -> Result<Vec<String>> {
        let key = algorithm_key(collective);
        let Some(value) = self.0.get(key) else { return Ok(Vec::new()) };
        let list: Option<Vec<&str>> =
            value.as_array().and_then(|items| items.iter().map(Json::as_str).collect());
        let Some(list) = list else { return self.wrong(key, "a list of algorithm names", value) };
        for name in &list {
            algorithm::parse(name).map_err(|error| error.key(key))?;
        }
        Ok(list.into_iter().map(str::to_owned).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(SystemFile, Vec<Notice>)> {
        SystemFile::parse(text.as_bytes(), "s.json")
    }

    fn system(file: &SystemFile, options: &SystemOptions) -> Result<System> {
        file.system(Dialect::AstraSim, options, RemoteMemory::None)
    }

    #[test]
    fn an_empty_file_means_what_it_means_to_the_simulator() {
        let (file, notices) = parse("{}").unwrap();
        let system = system(&file, &SystemOptions::default()).unwrap();
        assert_eq!(system, System::default());
        assert!(notices.is_empty());
    }

    #[test]
    fn numbers_are_cut_and_switches_compare_with_zero() {
        let (file, _) =
            parse(r#"{"endpoint-delay": 7.9, "roofline-enabled": false, "replay-only": 0}"#).unwrap();
        assert_eq!(file.endpoint_delay, Some(Nanos(7)));
        assert!(file.roofline_enabled && !file.replay_only);
    }

    #[test]
    fn the_injection_scale_acts_on_a_delay_the_file_gives() {
        let options = SystemOptions { injection_scale: 1.55, ..SystemOptions::default() };
        let delay = |text| {
            let (file, _) = parse(text).unwrap();
            system(&file, &options).unwrap().endpoint_delay
        };
        assert_eq!(delay(r#"{"endpoint-delay": 10}"#), Nanos(15));
        assert_eq!(delay("{}"), Nanos(10));
    }

    #[test]
    fn an_unknown_key_is_ignored_aloud() {
        let (_, notices) = parse(r#"{"endpoint_delay": 5, "colour": 1}"#).unwrap();
        let said: Vec<String> = notices.iter().map(Notice::to_string).collect();
        let near = "endpoint_delay: unknown key, ignored; did you mean `endpoint-delay`?";
        assert_eq!(said, ["colour: unknown key, ignored", near]);
    }

    #[test]
    fn a_wrong_value_is_an_error_with_its_key() {
        for (text, expected) in [
            (
                r#"{"endpoint-delay": "x"}"#,
                "s.json: endpoint-delay: expected an integer from 0 to 2147483647, found \"x\"",
            ),
            (r#"{"local-mem-bw": -1}"#, "s.json: local-mem-bw: expected a number ≥ 0, found -1"),
            (r#"{"scheduling-policy": "lifo"}"#, "s.json: scheduling-policy: unknown value `lifo`"),
            (
                r#"{"all-reduce-implementation": "ring"}"#,
                "s.json: all-reduce-implementation: expected a list of algorithm names, found \"ring\"",
            ),
            (
                r#"{"all-reduce-implementation": ["rng"]}"#,
                "s.json: all-reduce-implementation: unknown collective algorithm `rng`",
            ),
            (
                "[]",
                "s.json:1:0: invalid type: sequence, expected a JSON object, the settings of a simulated system",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), expected);
        }
        assert!(parse("{\n \"a\": }").unwrap_err().to_string().starts_with("s.json:2:7: "));
    }

    #[test]
    fn what_the_dialect_lacks_is_refused_with_the_dialect_that_has_it() {
        let system = |text, dialect| {
            let (file, _) = parse(text).unwrap();
            file.system(dialect, &SystemOptions::default(), RemoteMemory::None)
        };
        let mesh = r#"{"all-reduce-implementation": ["mesh"]}"#;
        assert_eq!(system(mesh, Dialect::DeepFlow).unwrap().all_reduce, [Algorithm::Mesh]);
        let error = system(mesh, Dialect::AstraSim).unwrap_err();
        let message = "algorithm `mesh` exists in dialect deepflow, not in astra-sim";
        assert_eq!(error.to_string(), format!("all-reduce-implementation: {message}"));
        assert!(
            error
                .hint_text()
                .unwrap()
                .starts_with("set --dialect deepflow (in a recipe `engine.dialect`), or")
        );
        for text in [
            r#"{"per-node-custom-implementation": "nodes.yml"}"#,
            r#"{"reduce-scatter-implementation-custom": ["rs/ring"]}"#,
        ] {
            assert!(system(text, Dialect::AstraSim).is_ok());
            let error = system(text, Dialect::DeepFlow).unwrap_err();
            assert!(error.to_string().ends_with("exists in dialect astra-sim, not in deepflow"), "{error}");
        }
    }

    #[test]
    fn the_shared_bus_is_on_when_its_key_is_exactly_one() {
        let bus = |text: &str| parse(text).unwrap().0.shared_bus;
        let keys = r#""L": 3.9, "o": 2, "g": 7, "G": 0.1"#;
        let expected = SharedBus {
            latency: Nanos(3),
            overhead: Nanos(2),
            gap: Nanos(7),
            gap_per_byte_ns: f64::from(0.1_f32),
            local_reduction_delay: Nanos(1),
        };
        assert_eq!(bus(&format!(r#"{{"model-shared-bus": 1, {keys}}}"#)), Some(expected));
        assert_eq!(bus(&format!(r#"{{"model-shared-bus": 2, {keys}}}"#)), None);
        assert_eq!(bus("{}"), None);
        let error = parse(r#"{"model-shared-bus": 1, "o": 3e9}"#).unwrap_err().to_string();
        assert_eq!(error, "s.json: o: expected nanoseconds below 2^31, found 3000000000");
    }
}
