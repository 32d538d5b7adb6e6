"""The notebook co2.ipynb as a flow: trend, season and forecast of carbon dioxide in the air."""

from towpath import notebook

co2 = notebook("co2.ipynb", cell_timeout="5m")

if __name__ == "__main__":
    co2.run_main()
