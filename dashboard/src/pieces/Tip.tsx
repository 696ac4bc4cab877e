/** More about a number: opens under the mouse and under the keyboard's focus, closes with Escape. */
import { useId, useLayoutEffect, useRef, useState, type ReactNode } from "react";

export function Tip({ label, children, more }: { label: string; children: ReactNode; more: ReactNode }) {
  const [open, setOpen] = useState(false);
  const of = useRef<HTMLSpanElement>(null);
  const box = useRef<HTMLSpanElement>(null);
  const id = useId();

  // On the window and not in the table, which would cut it off: under the number where there is room.
  useLayoutEffect(() => {
    if (!open) return;
    const place = (): void => {
      if (!of.current || !box.current) return;
      const at = of.current.getBoundingClientRect();
      const { offsetWidth: width, offsetHeight: height, style } = box.current;
      const under = at.bottom + height <= innerHeight || at.top - height < 0;
      style.top = `${under ? at.bottom : at.top - height}px`;
      style.left = `${Math.max(0, Math.min(at.left, document.documentElement.clientWidth - width))}px`;
    };
    place();
    addEventListener("scroll", place, { capture: true, passive: true });
    return () => removeEventListener("scroll", place, { capture: true });
  }, [open]);

  return (
    <span ref={of} className="tip" onPointerEnter={() => setOpen(true)} onPointerLeave={() => setOpen(false)}>
      <button
        type="button"
        className="tip-of"
        aria-label={label}
        aria-describedby={open ? id : undefined}
        aria-expanded={open}
        onFocus={() => setOpen(true)}
        onBlur={() => setOpen(false)}
        onClick={() => setOpen(true)}
        onKeyDown={(event) => {
          if (event.key === "Escape") setOpen(false);
        }}
      >
        {children}
      </button>
      {open && (
        <span ref={box} className="tip-box" role="tooltip" id={id}>
          {more}
        </span>
      )}
    </span>
  );
}
