/* Updates a part of the page in place: focus, selection, scroll positions and open details survive. */

/** Make `old` equal to `fresh`, changing only what differs. Elements with data-keep belong to a script. */
export function morph(old, fresh) {
  if (old.isEqualNode(fresh) || old.dataset?.keep !== undefined) return;
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.data = fresh.data;
    return;
  }
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !["open", "title"].includes(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  morphChildren(old, fresh);
}

function morphChildren(old, fresh) {
  const keyed = new Map([...old.children].filter((child) => child.dataset.key).map((child) => [child.dataset.key, child]));
  let next = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    const key = child.dataset?.key;
    const same = key ? keyed.get(key) : next && isAlike(next, child) ? next : undefined;
    if (!same) {
      old.insertBefore(child, next);
      if (key) child.animate?.([{ backgroundColor: "var(--calm-tint)" }, {}], 4000);
      continue;
    }
    if (same === next) next = next.nextSibling;
    else old.insertBefore(same, next);
    morph(same, child);
  }
  while (next) {
    const following = next.nextSibling;
    next.remove();
    next = following;
  }
}

const isAlike = (one, other) => one.nodeName === other.nodeName && one.id === other.id && !one.dataset?.key;
