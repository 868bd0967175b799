//! The JSON Schema of a graph file, for editors and other tools.
//!
//! Fixed text. The reader does not use it; tests hold the two together.

/// The JSON Schema (draft 2020-12) of a graph file.
pub const GRAPH_SCHEMA: &str = include_str!("astra-graph.schema.json");

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::super::Graph;
    use super::super::read::{AXIS_KEYS, DOCUMENT_KEYS, GRAPH_FORMAT, LAYOUT_KEYS};
    use super::super::read_node::{NODE_TYPES, keys_of};
    use super::*;
    use crate::et::bundle::MAX_RANKS;

    fn schema() -> Value {
        serde_json::from_str(GRAPH_SCHEMA).unwrap()
    }

    #[test]
    fn the_schema_is_a_valid_schema() {
        jsonschema::draft202012::meta::validate(&schema()).unwrap();
    }

    #[test]
    fn the_schema_knows_exactly_the_keys_and_words_the_reader_knows() {
        let schema = schema();
        let same_keys = |pointer: &str, known: &[&str]| {
            let object = schema.pointer(pointer).unwrap();
            let keys: BTreeSet<&str> =
                object["properties"].as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(keys, known.iter().copied().collect(), "{pointer}");
            assert_eq!(object["additionalProperties"], false, "{pointer}");
        };
        same_keys("", DOCUMENT_KEYS);
        same_keys("/$defs/layout", LAYOUT_KEYS);
        same_keys("/$defs/layout/properties/axes/items", AXIS_KEYS);
        for (position, name) in NODE_TYPES.into_iter().enumerate() {
            same_keys(&format!("/$defs/{name}"), &keys_of(position));
        }
        let types = &schema["properties"]["nodes"]["items"]["properties"]["type"]["enum"];
        assert_eq!(*types, json!(NODE_TYPES));
        assert_eq!(schema["properties"]["astra_graph"]["const"], GRAPH_FORMAT);
        assert_eq!(schema["properties"]["replicas"]["maximum"], MAX_RANKS);
    }

    #[test]
    fn the_schema_and_the_reader_judge_alike() {
        let validator = jsonschema::draft202012::new(&schema()).unwrap();
        let compute = r#"{"type":"compute","name":"a","seconds":1e-6,"hw":0}"#;
        let graph = |nodes: &str| format!(r#"{{"astra_graph":1,"nodes":[{nodes}]}}"#);
        let with = |rest: &str| format!(r#"{{"astra_graph":1,"nodes":[{compute}],{rest}}}"#);
        let edge = |rest: &str| graph(&format!(r#"{{"type":"communication","name":"g",{rest}}}"#));
        let cases = [
            (true, graph(compute)),
            (true, graph(&compute.replace("1e-6", "[3]"))),
            (true, graph(&compute.replace("1e-6", "0"))),
            (true, graph(r#"{"type":"join","name":"","op":7,"parents":[],"children":[],"info":{"x":[1]}}"#)),
            (true, edge(r#""kind":"pipeline","bytes":10.7,"participants":2,"axis":"lp","hw":3"#)),
            (true, with(r#""replicas":1,"roots":[0],"info":{},"$schema":"s","description":"d""#)),
            (true, with(r#""layout":{"axes":[{"axis":"tp","size":2,"stride":1}],"span":2}"#)),
            (false, graph("")),
            (false, graph(&compute.replace("compute", "computer"))),
            (false, graph(&compute.replace("\"hw\"", "\"hwid\""))),
            (false, graph(&compute.replace("\"hw\":0", "\"hw\":-1"))),
            (false, graph(&compute.replace("\"hw\":0", "\"bytes\":0"))),
            (false, graph(&compute.replace("1e-6", "-1e-6"))),
            (false, graph(&compute.replace("1e-6", "1e13"))),
            (false, graph(&compute.replace("1e-6", "\"1 us\""))),
            (false, graph(r#"{"type":"compute","name":"a"}"#)),
            (false, graph(r#"{"type":"join","name":"a","hw":1}"#)),
            (false, graph(r#"{"name":"a"}"#)),
            (false, edge(r#""kind":"","bytes":1"#)),
            (false, edge(r#""kind":"pipeline""#)),
            (false, edge(r#""kind":"pipeline","bytes":-1"#)),
            (false, edge(r#""kind":"pipeline","bytes":9223372036854775808"#)),
            (false, edge(r#""kind":"pipeline","bytes":1,"op":2147483648"#)),
            (false, edge(r#""kind":"pipeline","bytes":1,"info":5"#)),
            (false, with(r#""replicas":0"#)),
            (false, with(r#""root":[0]"#)),
            (false, with(r#""layout":{"axes":[{"axis":"","size":2}]}"#)),
            (false, with(r#""layout":{"axes":[{"axis":"tp"}]}"#)),
            (false, with(r#""layout":{"axes":[],"spam":1}"#)),
            (false, with("\"layout\":[]")),
            (false, graph(compute).replace("\"astra_graph\":1", "\"astra_graph\":2")),
            (false, graph(compute).replace("\"astra_graph\":1,", "")),
            (false, r#"{"astra_graph":1}"#.to_owned()),
        ];
        for (good, text) in cases {
            let json: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(validator.is_valid(&json), good, "schema: {text}");
            let read = Graph::parse(text.as_bytes(), "g.json");
            assert_eq!(read.is_ok(), good, "reader: {text}");
        }
    }
}
