//! Everything that a pipeline may be made of: the families' lists, and components of one's own.

use dataflow_core::component::Component;

/// The components that pipelines are checked against. A value: two catalogs in one process do not know of each other.
#[derive(Clone, Debug)]
pub struct Catalog {
    components: Vec<Component>,
}

impl Default for Catalog {
    /// All components that come with the library.
    fn default() -> Self {
        let families = [
            dataflow_sources::list(),
            dataflow_transforms::list(),
            dataflow_sinks::list(),
            dataflow_windowing::list(),
            dataflow_accumulators::list(),
        ];
        Self {
            components: families.into_iter().flatten().collect(),
        }
    }
}

impl Catalog {
    /// The same catalog with one more component; it hides one of the same family and name.
    #[must_use]
    pub fn with(mut self, component: Component) -> Self {
        self.components.retain(|known| {
            known.kind() != component.kind() || known.info.name != component.info.name
        });
        self.components.push(component);
        self
    }

    /// The components, family by family.
    pub fn components(&self) -> &[Component] {
        &self.components
    }
}
