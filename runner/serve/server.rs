//! Lines in, lines out.

use std::collections::HashMap;

use artifact_store::{ActionKey, Digest, Session, Store};
use astra_engine::{Options, SEMANTIC_VERSION};
use serde_json::{Value, json};

use crate::error::{Error, ErrorKind, Result};
use crate::exec::{Answer, Lone, LoneOptions, recall};
use crate::report::RunResult;
use crate::sim::{SimConfiguration, SimFile, SimFiles, SimPaths};

use super::hardware::{self, Configuration};
use super::request::{Hardware, PROTOCOL, PointRequest, Request, Simulate, Workload};
use super::traces::{self, Simulated, collective};

/// The longest line that is read.
pub const MAX_LINE_BYTES: usize = 16 << 20;

/// How many points are remembered.
const REMEMBERED: usize = 1 << 20;

/// Answers requests. What it has answered is leased until it is dropped.
#[derive(Debug)]
pub struct Server {
    store: Option<Store>,
    _session: Option<Session>,
    /// The key of the run of each point that has been asked for and depends on nothing outside its request. A key is made
    /// of the same bytes each time, so making it again would give nothing new.
    keys: HashMap<Digest, ActionKey>,
}

impl Server {
    /// A server that looks up and keeps what it simulates in a store, if there is one and as far as it is open for that.
    ///
    /// # Errors
    /// When a lease cannot be written.
    pub fn new(store: Option<Store>) -> Result<Self> {
        let session = store.as_ref().map(Store::session).transpose()?;
        Ok(Self { store, _session: session, keys: HashMap::new() })
    }

    /// The answer to a line, without the newline. What is wrong with it is an answer, too.
    pub fn answer(&mut self, line: &[u8]) -> String {
        let (id, answer) = match serde_json::from_slice::<Value>(line) {
            Ok(Value::Object(mut request)) => {
                let id = request.remove("id").unwrap_or_default();
                (id, Request::parse(&request.into()).and_then(|request| self.execute(request)))
            }
            Ok(_) => (Value::Null, Err(Error::new(ErrorKind::Usage, "a request is a JSON object"))),
            Err(e) => (Value::Null, Err(Error::new(ErrorKind::Usage, format!("the line is no JSON: {e}")))),
        };
        let answer = match answer {
            Ok(answer) => json!({ "id": id, "ok": answer }),
            Err(error) => json!({ "id": id, "error": error_json(&error) }),
        };
        answer.to_string()
    }

    /// The answer to a line that was longer than [`MAX_LINE_BYTES`] and has not been read.
    pub fn answer_to_a_line_too_long() -> String {
        let error = Error::new(
            ErrorKind::Usage,
            format!("a line may have {MAX_LINE_BYTES} bytes, this one has more"),
        );
        json!({ "id": null, "error": error_json(&error) }).to_string()
    }

    fn execute(&mut self, request: Request) -> Result<Value> {
        match request {
            Request::Hello => Ok(self.hello()),
            Request::Simulate(files) => self.simulate(&files),
            Request::Point(point) => self.point(&point),
            Request::Configs(configs) => hardware::write(&configs),
            Request::Traces(files) => traces::write(&files),
        }
    }

    fn hello(&self) -> Value {
        json!({
            "protocol": PROTOCOL,
            "version": env!("CARGO_PKG_VERSION"),
            "engine_version": SEMANTIC_VERSION,
            "store": self.store.as_ref().map(|store| store.directory().display().to_string()),
            "writes": self.store.as_ref().is_some_and(|store| !store.is_read_only()),
        })
    }

    fn simulate(&self, request: &Simulate) -> Result<Value> {
        let paths = SimPaths {
            workload_prefix: request.workload.clone(),
            system: request.system.clone(),
            network: request.network.clone(),
            remote_memory: request.remote_memory.clone(),
            comm_groups: request.comm_groups.clone(),
        };
        let mut notices = Vec::new();
        let files = SimFiles::read(&paths, request.engine.settings()?, &mut |notice| {
            notices.push(notice.to_string());
        })?;
        Ok(self.run(&files, None, notices)?.0)
    }

    fn point(&mut self, point: &PointRequest) -> Result<Value> {
        let is_whole =
            matches!(point.hardware, Hardware::Document(_)) && !matches!(point.workload, Workload::Et { .. });
        let name = is_whole.then(|| name_of(point)).transpose()?;
        if let (Some(key), Some(store)) = (name.and_then(|name| self.keys.get(&name)), &self.store)
            && let Some(result) = recall(store, key)?
        {
            return Ok(result_json(&result, true, key, Vec::new()));
        }
        let settings = point.engine.settings()?;
        let used = match &point.workload {
            Workload::Collective { collective: name, .. } => {
                vec![collective(name).map_err(|e| e.under("workload"))?]
            }
            Workload::Transfer { .. } | Workload::Et { .. } => Vec::new(),
        };
        let Configuration { files, notices, .. } =
            hardware::configuration(&point.hardware, &point.part, &settings, &used)?;
        let Simulated { traces, prefix, comm_groups } = Simulated::of(&point.workload, point.part.ranks)?;
        let file =
            |name: &str, text: String| SimFile { name: name.to_owned(), bytes: text.into_bytes().into() };
        let configuration = SimConfiguration {
            network: file(&files.network_name, files.network_yml),
            system: file(&files.system_name, files.system_json),
            remote_memory: None,
        };
        // What is worth saying about files that were written here is of no use to anybody.
        let files = SimFiles::of(configuration, settings, |_| Ok(traces), || Ok(comm_groups), &mut |_| {})?;
        let (answer, key) = self.run(&files, prefix, notices)?;
        if let (Some(name), Some(key)) = (name, key) {
            if self.keys.len() >= REMEMBERED {
                self.keys.clear();
            }
            self.keys.insert(name, key);
        }
        Ok(answer)
    }

    /// What a run gives, known or simulated now, and its key where there is a store.
    fn run(
        &self,
        files: &SimFiles,
        prefix: Option<&str>,
        mut notices: Vec<String>,
    ) -> Result<(Value, Option<ActionKey>)> {
        let options = LoneOptions { lint: true, engine: Options::default() };
        let mut notice = |notice: crate::Notice| notices.push(notice.to_string());
        match &self.store {
            Some(store) => {
                let Answer { report, hit, key } =
                    Lone::new(store, files, prefix)?.answer(files, &options, &mut notice)?;
                Ok((result_json(&RunResult::from_engine(&report)?, hit, &key, notices), Some(key)))
            }
            None => {
                let report = files.simulation(options.lint, &mut notice)?.run(&options.engine)?;
                let mut answer = times(&RunResult::from_engine(&report)?, notices);
                answer["hit"] = false.into();
                Ok((answer, None))
            }
        }
    }
}

/// What tells points apart. Absent options and usual ones are the same.
fn name_of(point: &PointRequest) -> Result<Digest> {
    let bytes = serde_json::to_vec(point)
        .map_err(|e| Error::new(ErrorKind::Usage, format!("the request cannot be written again: {e}")))?;
    Ok(Digest::of(&bytes))
}

fn result_json(result: &RunResult, hit: bool, key: &ActionKey, notices: Vec<String>) -> Value {
    let mut answer = times(result, notices);
    answer["hit"] = hit.into();
    answer["key"] = key.to_string().into();
    answer
}

/// When each rank finished, by rank.
fn times(result: &RunResult, notices: Vec<String>) -> Value {
    let mut answer = json!({ "finish_ns": result.rank_finish_ns });
    if !notices.is_empty() {
        answer["notices"] = notices.into();
    }
    answer
}

fn error_json(error: &Error) -> Value {
    json!({
        "message": error.to_string(),
        "hint": error.hint_text(),
        "exit_code": error.kind().exit_code(),
    })
}
