document.querySelectorAll("#variants th button").forEach((button, column) => {
  let rising = true;
  button.addEventListener("click", () => {
    const body = document.querySelector("#variants tbody");
    const value = row => row.cells[column].dataset.value;
    const order = (a, b) => column ? value(a) - value(b) : value(a).localeCompare(value(b));
    [...body.rows].sort((a, b) => rising ? order(a, b) : order(b, a)).forEach(row => body.append(row));
    rising = !rising;
  });
});
