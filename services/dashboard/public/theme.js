// Before the first paint: the theme that the reader chose here, if any. Else the system's.
const theme = localStorage.getItem("towpath.theme");
if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
