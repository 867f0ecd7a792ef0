/** A token as a canvas wants it. Asked of an element: `light-dark()` is worked out only there. */
export function readColour(place: HTMLElement, token: string): string {
  const probe = document.createElement('span');
  probe.style.color = `var(${token})`;
  place.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}
