//! The mouse and the finger of tests at a page.

use serde_json::{Value, json};

use super::browser::Page;

impl Page {
    /// The middle of the first element that this selector finds, which must be in view.
    fn middle(&self, selector: &str) -> Value {
        let selector = json!(selector);
        let place = self.evaluate(&format!(
            "(() => {{ const element = document.querySelector({selector}), box = element.getBoundingClientRect();
                const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
                return element.contains(document.elementFromPoint(x, y)) ? [x, y] : null; }})()"
        ));
        assert!(place.is_array(), "{selector} is not there to be clicked");
        place
    }

    /// Presses the mouse button in the middle of the element with this id, which must be in view.
    pub fn click(&self, id: &str) {
        self.click_on(&format!("#{id}"));
    }

    /// The same, for the first element that a selector finds.
    pub fn click_on(&self, selector: &str) {
        let at = self.middle(selector);
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({ "type": kind, "x": at[0], "y": at[1], "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// Moves the mouse there.
    pub fn point_at(&self, selector: &str) {
        let at = self.middle(selector);
        self.call("Input.dispatchMouseEvent", json!({ "type": "mouseMoved", "x": at[0], "y": at[1] }));
    }

    /// Puts a finger there, and leaves it there.
    pub fn touch(&self, selector: &str) {
        let at = self.middle(selector);
        self.fingers("touchStart", &json!([{ "x": at[0], "y": at[1] }]));
    }

    /// Takes the finger away.
    pub fn lift(&self) {
        self.fingers("touchEnd", &json!([]));
    }

    fn fingers(&self, kind: &str, points: &Value) {
        self.call("Input.dispatchTouchEvent", json!({ "type": kind, "touchPoints": points }));
    }
}
