//! The JSON Schema of a recipe, for editors and other tools; and the files to start from.
//!
//! Fixed text. The parser does not read the schema; tests hold the two together.

/// The JSON Schema (draft 2020-12) of a recipe.
pub const RECIPE_SCHEMA: &str = include_str!("recipe.schema.json");

/// The files of a fresh project: name and content. They build as they are.
pub const STARTER_FILES: [(&str, &str); 3] = [
    ("recipe.json", include_str!("starter/recipe.json")),
    ("hardware.yaml", include_str!("starter/hardware.yaml")),
    ("recipe.schema.json", RECIPE_SCHEMA),
];
