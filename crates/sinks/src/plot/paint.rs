//! Pictures as shapes, and what makes PNG and SVG of them.

pub mod colour;
pub mod font;
pub mod raster;
pub mod scene;
pub mod vector;
