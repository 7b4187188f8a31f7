// As much of a document as the page's text needs, and no more: a property that is not here cannot be set, so that
// HTML, styles and handlers cannot get in unseen.

class FakeElement {
  constructor(tag) {
    Object.assign(this, { tag, attributes: new Map(), nodes: [], listeners: [] });
    this.dataset = new Proxy({}, {
      set: (_, name, value) => {
        this.attributes.set(`data-${name}`, String(value));
        return true;
      },
    });
    Object.preventExtensions(this);
  }

  set className(value) { this.attributes.set("class", value); }
  set href(value) { this.attributes.set("href", value); }
  set rel(value) { this.attributes.set("rel", value); }
  set target(value) { this.attributes.set("target", value); }
  set title(value) { this.attributes.set("title", value); }
  set type(value) { this.attributes.set("type", value); }

  setAttribute(name, value) { this.attributes.set(name, String(value)); }
  append(...nodes) { this.nodes.push(...nodes); }
  addEventListener(type) { this.listeners.push(type); }

  get textContent() {
    return textOf(this.nodes);
  }
}

/** The text content of nodes, each a string or an element. */
export function textOf(nodes) {
  return nodes.map((node) => (typeof node === "string" ? node : node.textContent)).join("");
}

/** All elements in nodes, the outer ones first, with how deep each is. */
export function elementsOf(nodes, depth = 1) {
  return nodes.filter((node) => typeof node !== "string")
    .flatMap((node) => [{ element: node, depth }, ...elementsOf(node.nodes, depth + 1)]);
}

globalThis.document = { createElement: (tag) => new FakeElement(tag) };
