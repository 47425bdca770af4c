//! The OpenAPI 3.1 document of the server's own wire, made of the schemas its types have.
//!
//! OpenAPI 3.1 schemas are JSON Schema 2020-12, which is what the types' derives give, so one derive serves both.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::error::{ErrorCode, ErrorReply};
use super::execute::{ExecuteBody, ExecuteReply};
use super::info::{HealthReply, LanguagesReply};
use super::judge::{BatchBody, BatchReply, JudgeBody, JudgedReply};

/// What running anything can be refused with.
const REFUSALS: [ErrorCode; 11] = [
    ErrorCode::BadRequest,
    ErrorCode::Unauthorized,
    ErrorCode::RequestTimeout,
    ErrorCode::TooLarge,
    ErrorCode::UnsupportedMediaType,
    ErrorCode::UnknownLanguage,
    ErrorCode::MissingToolchain,
    ErrorCode::QueueFull,
    ErrorCode::Infrastructure,
    ErrorCode::Draining,
    ErrorCode::QueueDeadline,
];

/// The document, for a server of this version.
pub fn openapi_document(version: &str) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut schemas = settings.into_generator();
    let paths = json!({
        "/v1/execute": {"post": operation(
            &mut schemas, "execute", "Run one program in a fresh cage", body::<ExecuteBody>, reply::<ExecuteReply>)},
        "/v1/judge": {"post": operation(
            &mut schemas, "judge", "Judge one solution", body::<JudgeBody>, reply::<JudgedReply>)},
        "/v1/judge/batch": {"post": batch(&mut schemas)},
        "/v1/languages": {"get": {
            "operationId": "languages", "summary": "The languages there are",
            "responses": {"200": reply::<LanguagesReply>(&mut schemas)},
        }},
        "/health": {"get": {
            "operationId": "health", "summary": "Whether it takes work", "security": [],
            "responses": {"200": reply::<HealthReply>(&mut schemas), "503": reply::<HealthReply>(&mut schemas)},
        }},
        "/metrics": {"get": {
            "operationId": "metrics", "summary": "Counters for Prometheus",
            "responses": {"200": {"description": "OpenMetrics text", "content": {"application/openmetrics-text": {}}}},
        }},
    });
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Rollcage",
            "version": version,
            "license": {"name": "MIT OR Apache-2.0"},
            "description": "Runs programs in cages and judges them. A failure of ours is an error or an unscorable \
                            result, and never a verdict.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas.take_definitions(true),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        // Either: without a token nothing asks for one.
        "security": [{"token": []}, {}],
    })
}

fn operation(
    schemas: &mut SchemaGenerator,
    id: &str,
    summary: &str,
    body: fn(&mut SchemaGenerator) -> Value,
    reply: fn(&mut SchemaGenerator) -> Value,
) -> Value {
    let mut responses = Map::new();
    responses.insert("200".to_owned(), reply(schemas));
    let error = schemas.subschema_for::<ErrorReply>();
    for code in REFUSALS {
        let status = code.status().to_string();
        let described = responses.get(&status).and_then(|known| known["description"].as_str());
        let description = match described {
            Some(others) => format!("{others}, {}", code.as_str()),
            None => code.as_str().to_owned(),
        };
        let response =
            json!({"description": description, "content": {"application/json": {"schema": error}}});
        responses.insert(status, response);
    }
    json!({"operationId": id, "summary": summary, "requestBody": body(schemas), "responses": responses})
}

fn batch(schemas: &mut SchemaGenerator) -> Value {
    let summary = "Judge many solutions; with `Accept: application/x-ndjson` results come as they finish, and a last \
                   line says that there are no more";
    let mut operation = operation(schemas, "judgeBatch", summary, body::<BatchBody>, reply::<BatchReply>);
    let line = schemas.subschema_for::<JudgedReply>();
    operation["responses"]["200"]["content"]["application/x-ndjson"] = json!({"schema": line});
    operation
}

fn body<T: JsonSchema>(schemas: &mut SchemaGenerator) -> Value {
    let schema = schemas.subschema_for::<T>();
    json!({"required": true, "content": {"application/json": {"schema": schema}}})
}

fn reply<T: JsonSchema>(schemas: &mut SchemaGenerator) -> Value {
    let schema = schemas.subschema_for::<T>();
    json!({"description": "Done", "content": {"application/json": {"schema": schema}}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_leads_somewhere_and_every_refusal_is_told() {
        let document = openapi_document("1.2.3");
        let mut references = Vec::new();
        collect_references(&document, &mut references);
        assert!(!references.is_empty());
        for reference in references {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        let told = &document["paths"]["/v1/execute"]["post"]["responses"];
        assert_eq!(told["422"]["description"], "unknown_language, missing_toolchain");
        assert!(told["429"].is_object() && told["504"].is_object());
    }

    fn collect_references(value: &Value, into: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(reference)) = fields.get("$ref") {
                    into.push(reference.clone());
                }
                fields.values().for_each(|value| collect_references(value, into));
            }
            Value::Array(values) => values.iter().for_each(|value| collect_references(value, into)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}
